"""Thousands of changed signed documents of every profile; see docs/protocol/SIG.md, section 10."""
