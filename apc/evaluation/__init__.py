"""From a trained method to scores."""
