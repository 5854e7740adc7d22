"""How requests leave."""
