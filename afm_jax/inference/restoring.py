"""What a run was trained with, and what it learned, from its folder.

A folder names models and losses of this package; it never causes an import of other code.
"""

import logging
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import linen as nn

from afm_jax import hyperparameters, models
from afm_jax.errors import InputError
from afm_jax.features import Features, Schema
from afm_jax.ops import losses
from afm_jax.ops.losses import Loss
from afm_jax.training import state
from afm_jax.training.run.config import read_config
from afm_jax.training.run.folder import Run

_log = logging.getLogger(__name__)


class Restored(NamedTuple):
    """A checkpoint of a run.

    Attributes:
        model: the model.
        step: of the checkpoint.
        variables: the model's variables, with the base logit; arrays on the host.
    """

    model: nn.Module
    step: int
    variables: dict[str, Any]


def restore(
    run: Run,
    schema: Schema,
    *,
    step: int | None = None,
    model: type[nn.Module] | None = None,
) -> Restored:
    """A checkpoint of a run.

    Args:
        run: the run.
        schema: of the data; must be that of the run.
        step: of the checkpoint; None: the best by the run's monitored metric, or the
            newest.
        model: the class of the model, if it is none of this package.

    Raises:
        InputError: there is no such checkpoint, it is of another schema, or the model is
            not of this package and is not given.
    """
    config = read_config(run)
    made = model_of(config, schema, model)
    example = dict(
        jax.eval_shape(made.init, jax.random.key(0), example_features(schema))
    )
    params = example.pop("params")
    fields = {
        "params": params,
        "model_state": example,
        "base_logit": state.NO_BASE_LOGIT,
    }
    with run.open_checkpoints(
        schema, monitor=config["monitor"], read_only=True
    ) as checkpoints:
        if "last_use/table" in (checkpoints.saved_leaves() or ()):
            fields["last_use"] = jax.eval_shape(state.up_to_date, params)
        step, fields = checkpoints.restore_fields(
            fields, checkpoints.best_step() if step is None else step
        )
    last_use = fields.pop("last_use", None)
    if last_use is not None and last_use["table"].any():
        _log.warning(
            "Checkpoint %d was made within an epoch: its table rows have not caught up with all steps before it. Those of whole epochs have.",
            step,
        )
    return Restored(made, step, state.variables_of(**fields))


def model_of(
    config: Mapping[str, Any], schema: Schema, model: type[nn.Module] | None = None
) -> nn.Module:
    """The model that a config names, over the vocabulary of a schema.

    Args:
        config: of a run.
        schema: of the data.
        model: the class of the model, if it is none of this package.

    Raises:
        InputError: as `models.make`.
    """
    name = config["model"]
    if model is None and name not in models.names() and ":" in name:
        raise InputError(
            f"The model {name} is code of yours, which a folder does not name by itself; give it again."
        )
    values = hyperparameters.read("set", config["set"])
    return models.make(model or name, schema=schema, **values)


def loss_of(config: Mapping[str, Any], loss: Any = None) -> Loss:
    """The loss that a config names.

    Args:
        config: of a run.
        loss: the loss, if it is none of this package.

    Raises:
        InputError: there is none of this name, or it has no such number.
    """
    numbers = hyperparameters.read("loss_set", config["loss_set"])
    if loss is None and config["loss"] not in losses.names() and ":" in config["loss"]:
        raise InputError(
            f"The loss {config['loss']} is code of yours, which a folder does not name by itself; give it again."
        )
    return losses.make(loss or config["loss"], **numbers)


def example_features(schema: Schema) -> Features:
    """One row of the schema's shapes."""
    ids = np.zeros((1, len(schema.slot_fields)), np.int32)
    return Features(ids, None, np.zeros((1, len(schema.dense)), np.float32))
