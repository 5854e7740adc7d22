"""The fault kit: a warm process that forks gateways in no time, places where they can be killed, and the judge of what is left."""
