"""The HTTP application: doors, REST, operations."""
