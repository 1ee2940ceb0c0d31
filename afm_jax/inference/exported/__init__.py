"""Files that an exported folder gets as they stand here; they import nothing of afm_jax."""
