"""Parties, procedures and rules as data, and the router that reads them."""
