"""Evidence: one append-only Merkle tree of everything that happened, its signed heads, and proofs that need no database."""
