"""Training: steps, row updates, devices, optimizers, evaluation, checkpoints, loop."""
