"""Numbers that stay numbers, on the scale of the training rows' range."""

from afm_jax.data.fields import Kind, Scale

KIND = Kind(
    "numeric",
    scale=Scale("min_max", lambda mean, std, low, high: (low, high - low)),
    told="as they are, the training rows' smallest at 0 and largest at 1",
)
