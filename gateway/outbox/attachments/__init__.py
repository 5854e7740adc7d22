"""Opaque content beside documents: taken in as it comes, kept once, given out as it leaves, never whole in memory."""
