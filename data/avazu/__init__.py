"""Avazu's click logs as a TFDS data set."""
