"""The agriculture ministry (party BNN), through its own gateway's dialect."""
