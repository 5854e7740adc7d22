"""The durable middle: guarded SQL, payloads, and the outbox over them."""
