"""The integration gateway of a National Single Window."""
