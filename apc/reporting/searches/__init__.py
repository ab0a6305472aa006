"""Searches read back from their rows."""
