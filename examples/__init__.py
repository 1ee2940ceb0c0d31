"""Scripts that show the library at work; each runs as `python -m examples.<name>`."""
