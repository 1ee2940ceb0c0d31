"""From raw files to batches: readers, encoding, TFDS builders, store, loader."""

from data import start

start.prepare()
