"""What a trained model is used for: predictions for new rows.

`restoring` reads what a run's folder holds, and `predictor` predicts with it.
"""

from afm_jax.inference.predictor import Predictor

__all__ = ["Predictor"]
