"""Feature-interaction models for click-through-rate prediction, in JAX.

Layers, each importing only those before it: `features`, `ops` (pure functions of
arrays), `modules` (Flax Linen parameters), `models` (one paper a file), `training`.
"""

from afm_jax import moved

__version__ = "0.1.0"

moved.install(moved.MOVED)
