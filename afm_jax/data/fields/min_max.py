"""Numbers that stay numbers, scaled to the range of the training rows; see `dense`."""

from afm_jax.data.fields import Kind

KIND = Kind("numeric", None)
