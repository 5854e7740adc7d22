"""The statements of the outbox, a file a concern; each is built once, and a line says which index serves it."""
