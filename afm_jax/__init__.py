"""Feature-interaction models for click-through-rate prediction, in JAX.

    store = afm_jax.data.prepare_frames(frames, label="click", categorical=["user", "item"])
    task = afm_jax.Task(afm_jax.models.make("fm", schema=store.schema), learning_rate=1e-3)
    run = afm_jax.fit(task, store, epochs=5)
    run.predict(new_frame)

Layers, each importing only those before it: `features`, `ops` (pure functions of
arrays), `modules` (Flax Linen parameters), `models` (one paper a file), `training`,
`inference` (predictions) and `api` (`fit` and `load`). `data` goes from raw files and
frames to batches.

A name without a leading underscore is public, in every module. CHANGELOG tells when one moves,
and importing a moved module by its old name says where it is for one version.
"""

import importlib
from typing import TYPE_CHECKING, Any

from afm_jax import moved

if TYPE_CHECKING:
    from afm_jax.api import fit, load
    from afm_jax.inference.trained_model import TrainedModel
    from afm_jax.training import Task

__version__ = "0.2.0"

__all__ = ["Task", "TrainedModel", "fit", "load"]

_HOMES = {
    **dict.fromkeys(("fit", "load"), "afm_jax.api"),
    "TrainedModel": "afm_jax.inference.trained_model",
    "Task": "afm_jax.training",
    **{
        name: f"afm_jax.{name}"
        for name in ("api", "data", "inference", "models", "modules", "ops", "training")
    },
}
"""Where a public name is, which is imported when it is first used: JAX takes seconds."""

moved.install(moved.MOVED)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = importlib.import_module(_HOMES[name])
    return home if _HOMES[name] == f"{__name__}.{name}" else getattr(home, name)
