"""Ray Tune and Optuna: searches are driven from here, and nowhere else."""
