"""From raw files to batches: readers, encoding, TFDS builders, store, loader."""
