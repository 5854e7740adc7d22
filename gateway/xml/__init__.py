"""Bytes in, bytes out: parse, canonical form, schemas, SOAP and envelopes; no trust decision."""
