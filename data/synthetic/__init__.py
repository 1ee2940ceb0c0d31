"""The synthetic data as a named set; `afm_jax.data.synthetic` draws them."""
