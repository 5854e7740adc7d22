"""The REST interface: documents in, messages and deliveries out."""
