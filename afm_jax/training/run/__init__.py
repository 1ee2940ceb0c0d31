"""A run's folder: its files by name, checkpoints, metrics and config."""
