"""The public kit: conformance suites, fakes, builders, the simulator engine."""
