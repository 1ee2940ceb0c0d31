"""From frames to encoded rows: codes on disk, splits, fitted fields, blocks of a store."""
