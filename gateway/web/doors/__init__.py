"""One file for each protocol's way in."""
