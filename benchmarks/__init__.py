"""The figures: ratios measured in one run. `nsw bench NAME` runs them."""
