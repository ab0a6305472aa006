"""APC-Bench: real runs of the embedded data as one table, a model of it, and searches replayed on the model."""
