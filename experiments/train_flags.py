"""The flags of experiments.train, and so of a run's config.json."""

from absl import flags

from afm_jax import models
from afm_jax.ops import losses, metrics
from afm_jax.training import feed, optimizers, progress
from afm_jax.training.devices import DEVICE_MAPS, TABLE_SHARDINGS
from afm_jax.training.task import COMPUTE_DTYPES, TABLE_UPDATES
from experiments import runs
from experiments.cli.groups import Group

FLAGS = flags.FlagValues()

_DATA = Group(FLAGS, "Data")
_DATA.string(
    "dataset",
    runs.SYNTHETIC,
    "Name of the prepared data set. 'synthetic' needs no preparation: it is drawn from a known model. data.prepare makes others: frappe, criteo, avazu, movielens_100k, or one of your own files (csv, parquet, libfm, libffm).",
)
_DATA.string(
    "data_dir", None, "Folder of the prepared data sets, which data.prepare wrote."
)
_DATA.integer("batch_size", 1024, "Number of rows of a batch.", lower_bound=1)
_DATA.string(
    "group_field",
    None,
    "Field, such as user, within whose values GAUC ranks the rows. GAUC is then one of the metrics.",
)
_DATA.enum(
    "untrained_rows",
    "mean",
    runs.UNTRAINED_ROWS,
    "What becomes of table rows that no training row uses, such as those for unseen values. 'mean' sets them after each epoch to the mean of their field's trained rows; 'keep' leaves them at their random start.",
)

_MODEL = Group(FLAGS, "Model")
_MODEL.string(
    "model",
    "afm_deep",
    f"Name of the model, or a class of your own as my_file.py:MyModel. The models are {', '.join(models.names())}.",
)
_MODEL.strings(
    "set",
    [],
    "Sets a hyperparameter of the model, name=value; repeatable. --set=help lists those of --model.",
)
_MODEL.enum(
    "base_logit",
    "auto",
    progress.BASE_LOGITS,
    "Constant added to every logit. 'auto' takes the log odds of the training labels (the mean target under squared_error), so that rare clicks are predicted as rare from the first step. '0' adds nothing, as published models do.",
)
_MODEL.string(
    "init_from",
    None,
    "Folder of a run on the same data; training starts from the tables of its best checkpoint. {seed} in it stands for --seed.",
)

_TRAINING = Group(FLAGS, "Training")
_TRAINING.integer(
    "epochs", 5, "Largest number of passes over the training rows.", lower_bound=1
)
_TRAINING.number("learning_rate", 3e-3, "Learning rate per step.", lower_bound=0.0)
_TRAINING.enum(
    "optimizer",
    "adam",
    optimizers.OPTIMIZERS,
    "The optimizer, one of ours or of optax's.",
)
_TRAINING.strings(
    "optimizer_set",
    [],
    "Sets a number of the optimizer, name=value, such as b2=0.99; repeatable. --optimizer_set=help lists those of --optimizer.",
)
_TRAINING.string(
    "loss",
    "sigmoid_cross_entropy",
    f"The loss, one of {', '.join(losses.names())}, or a function of your own as my_file.py:name. squared_error has the targets -1 and 1, as in the AFM paper; regression is for real labels.",
)
_TRAINING.strings(
    "loss_set",
    [],
    "Sets a number of the loss, name=value; repeatable. --loss_set=help lists those of --loss.",
)
_TRAINING.number(
    "table_l2",
    0.0,
    "Strength of the L2 penalty on tables; weight decay for adamw.",
    lower_bound=0.0,
)
_TRAINING.number(
    "l2",
    0.0,
    "Strength of the L2 penalty on all other parameters; weight decay for adamw.",
    lower_bound=0.0,
)
_TRAINING.number(
    "attention_l2",
    0.0,
    "Strength of one more L2 penalty, on the kernel of AFM's attention network.",
    lower_bound=0.0,
)
_TRAINING.number(
    "clip_norm",
    10.0,
    "Largest norm of the gradient; a longer one is scaled down. 0 does not clip.",
    lower_bound=0.0,
)
_TRAINING.enum(
    "monitor",
    "auc",
    metrics.DIRECTIONS,
    "The validation metric that tells which epoch is the best.",
)
_TRAINING.integer(
    "patience",
    2,
    "Stop after this many evaluations in a row without a new best --monitor. 0 never stops early.",
    lower_bound=0,
)
_TRAINING.number(
    "plateau_factor",
    0.1,
    "The learning rate is multiplied by this factor after an evaluation without a new best --monitor. 1 leaves it.",
    lower_bound=0.0,
    upper_bound=1.0,
)
_TRAINING.enum(
    "schedule",
    "constant",
    optimizers.SCHEDULES,
    "Course of the learning rate after the warm-up. 'cosine' falls to 0 at the last step.",
)
_TRAINING.integer(
    "warmup_steps",
    0,
    "Number of steps in which the learning rate rises from 0.",
    lower_bound=0,
)
_TRAINING.enum(
    "table_update",
    "rows",
    TABLE_UPDATES,
    "'rows' updates the table rows of the batch alone, at a cost that hardly depends on the vocabulary; under Adam, a table row catches up with the steps that it missed when it next occurs, so that the result is that of 'dense'. 'lazy' leaves out the catching up: a table row that does not occur rests. 'dense' updates whole tables, as published benchmarks do, and L2 is then over whole tables.",
)
_TRAINING.integer(
    "seed",
    0,
    "Seed of the initial parameters, of dropout and of the order of the rows.",
    lower_bound=0,
    upper_bound=2**32 - 1,
)

_DEVICES = Group(FLAGS, "Devices")
_DEVICES.enum(
    "table_sharding",
    "replicated",
    TABLE_SHARDINGS,
    "'replicated' keeps whole tables on every device; 'rows' splits them by table rows.",
)
_DEVICES.enum(
    "data_placement",
    "auto",
    feed.PLACEMENTS,
    "Where the training rows are: on the 'host', which reads ahead, or all on the 'device'. 'auto' chooses a device that has the memory.",
)
_DEVICES.enum(
    "compute_dtype",
    "float32",
    COMPUTE_DTYPES,
    "'bfloat16' rounds the operands of hidden layers' products and of cross matrices. All else stays float32.",
)
_DEVICES.enum(
    "device_map",
    "mesh",
    DEVICE_MAPS,
    "How the step runs on several devices: over a 'mesh' of them, or by jax's older 'pmap'.",
)

_OUTPUT = Group(FLAGS, "Output")
_OUTPUT.string(
    "workdir",
    None,
    "Folder for checkpoints, metrics and the result. If not given, it is a new one under runs/.",
)
_OUTPUT.boolean(
    "resume",
    False,
    "Go on with the run in --workdir, with its flags where none are given. If there is no run, start one.",
)
_OUTPUT.integer(
    "log_every",
    100,
    "Number of steps between lines of the training loss. There is one at the end of each epoch, too.",
    lower_bound=1,
)
_OUTPUT.integer(
    "checkpoint_every",
    0,
    "Number of steps between checkpoints, beside the one at the end of each epoch. 0 makes none between.",
    lower_bound=0,
)
