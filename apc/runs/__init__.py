"""What a run leaves and what its numbers depend on, without torch."""
