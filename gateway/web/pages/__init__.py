"""Pages for people: where everything is, and the interface described. No script, nothing from another host."""
