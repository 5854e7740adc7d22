"""What operators and their tools ask: health and metrics."""
