"""The whole flow of several nodes in one process, in an order drawn from a seed; see docs/explain/simulation.md."""
