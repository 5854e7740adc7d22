"""One folder per agency: adapter, mapping, simulator, README."""
