"""MovieLens-100K as a TFDS data set."""
