"""Training: a task, its steps on devices, the loop, and the folder of a run.

`task` says what is trained, `steps` is one update, `feed` hands out batches, `devices`
compiles, `trainer` runs epochs, `actions` are done now and then, `loop` starts, goes on and
ends, and `run` is the folder that a run leaves.
"""

from afm_jax.training.task import Task

__all__ = ["Task"]
