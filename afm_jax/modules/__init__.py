"""Flax Linen modules: each owns parameters and calls ops."""
