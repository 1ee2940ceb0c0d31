"""The flags of experiments.train, and so of a run's config.json."""

import functools

from absl import flags

from afm_jax.ops import losses, metrics
from afm_jax.training import feed, optimizers, progress
from afm_jax.training.devices import DEVICE_MAPS, TABLE_SHARDINGS
from afm_jax.training.task import COMPUTE_DTYPES, TABLE_UPDATES
from experiments import runs

FLAGS = flags.FlagValues()

_string = functools.partial(flags.DEFINE_string, flag_values=FLAGS)
_strings = functools.partial(flags.DEFINE_multi_string, flag_values=FLAGS)
_boolean = functools.partial(flags.DEFINE_boolean, flag_values=FLAGS)
_integer = functools.partial(flags.DEFINE_integer, flag_values=FLAGS)
_float = functools.partial(flags.DEFINE_float, flag_values=FLAGS)
_enum = functools.partial(flags.DEFINE_enum, flag_values=FLAGS)

_string(
    "model",
    "afm_deep",
    "Name of the model, or a class of your own as my_file.py:MyModel.",
)
_strings("set", [], "Hyperparameter of the model, name=value; repeatable.")
_string("dataset", runs.SYNTHETIC, "Name of the prepared data set.")
_string("data_dir", None, "Folder that data.prepare wrote.")
_string(
    "workdir",
    None,
    "Folder for checkpoints and metrics; by default a new one under runs/.",
)
_boolean(
    "resume",
    False,
    "Go on with the run in --workdir, whose flags hold where none are given, or start one if there is none.",
)
_string(
    "init_from",
    None,
    "Folder of a run on the same data whose tables to start from, of the best checkpoint; {seed} in it stands for --seed.",
)
_integer("epochs", 5, "Passes over the training rows, at most.", lower_bound=1)
_integer("batch_size", 1024, "Rows of a batch.", lower_bound=1)
_enum(
    "optimizer",
    "adam",
    optimizers.OPTIMIZERS,
    "The optimizer, one of ours or of optax's. With row updates Adam is lazy: table rows that do not occur rest.",
)
_strings(
    "optimizer_set",
    [],
    "Number of the optimizer, name=value, such as b2=0.99; repeatable.",
)
_float("learning_rate", 3e-3, "Learning rate per step.", lower_bound=0.0)
_enum(
    "schedule",
    "constant",
    optimizers.SCHEDULES,
    "Course of the learning rate after the warm-up.",
)
_integer(
    "warmup_steps", 0, "Steps in which the learning rate rises from 0.", lower_bound=0
)
_float("table_l2", 0.0, "L2 strength on tables (decay for adamw).", lower_bound=0.0)
_float(
    "l2", 0.0, "L2 strength on all other parameters (decay for adamw).", lower_bound=0.0
)
_float(
    "attention_l2",
    0.0,
    "L2 strength on the kernel of AFM's attention network, beside --l2.",
    lower_bound=0.0,
)
_float(
    "clip_norm", 10.0, "Largest norm of the gradient; 0 does not clip.", lower_bound=0.0
)
_string(
    "loss",
    "sigmoid_cross_entropy",
    f"The loss, one of {', '.join(losses.names())}, or a function of your own as my_file.py:name. squared_error is on -1 and 1, as in the AFM paper.",
)
_strings("loss_set", [], "Number of the loss, name=value; repeatable.")
_enum(
    "table_update",
    "rows",
    TABLE_UPDATES,
    "'rows' updates the rows of the batch; 'dense' whole tables.",
)
_enum(
    "compute_dtype",
    "float32",
    COMPUTE_DTYPES,
    "'bfloat16' rounds the operands of hidden layers' products and of cross matrices; all else stays float32.",
)
_enum("device_map", "mesh", DEVICE_MAPS, "How the step runs on several devices.")
_enum(
    "table_sharding",
    "replicated",
    TABLE_SHARDINGS,
    "Tables whole on every device, or split by rows.",
)
_enum(
    "data_placement",
    "auto",
    feed.PLACEMENTS,
    "Training rows on the host, read ahead, or all on the device; auto: on a device with the memory.",
)
_enum(
    "monitor",
    "auc",
    metrics.DIRECTIONS,
    "The validation metric that tells the best epoch.",
)
_integer(
    "patience",
    2,
    "Stop after so many evaluations that are not the best so far; 0: never.",
    lower_bound=0,
)
_float(
    "plateau_factor",
    0.1,
    "Learning rate factor after such an evaluation.",
    lower_bound=0.0,
    upper_bound=1.0,
)
_integer(
    "checkpoint_every",
    0,
    "Steps between checkpoints, beside one an epoch.",
    lower_bound=0,
)
_integer("log_every", 100, "Steps between lines of the training loss.", lower_bound=1)
_string("group_field", None, "Field, such as user, within whose values GAUC ranks.")
_enum(
    "base_logit",
    "auto",
    progress.BASE_LOGITS,
    "A constant added to every logit: 'auto' takes the log odds of the training labels (the mean target under squared_error), so that rare clicks are predicted as rare from the first step. '0' adds nothing, as published models do.",
)
_enum(
    "untrained_rows",
    "mean",
    runs.UNTRAINED_ROWS,
    "What becomes of table rows that no training row uses, such as those for unseen and missing values: 'mean' sets them after each epoch to the mean of their field's trained rows, 'keep' leaves them at their random start.",
)
_integer(
    "seed",
    0,
    "Of initialisation, dropout and order of the rows.",
    lower_bound=0,
    upper_bound=2**32 - 1,
)
