"""What several agencies speak."""
