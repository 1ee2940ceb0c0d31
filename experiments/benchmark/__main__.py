"""Times a part of the project; see the files of the suites.

    python -m experiments.benchmark --suite=step --models=fm,afm --batch_sizes=256,4096
    python -m experiments.benchmark --suite=attention --implementations=reference,blocked
    python -m experiments.benchmark --suite=loader
    python -m experiments.benchmark --suite=prepare --rows=1000000,4000000
    python -m experiments.benchmark --suite=predict --models=fm,deepfm,afm
    python -m experiments.benchmark --suite=evaluation --models=afm
    python -m experiments.benchmark --suite=epoch --train_flag=--model=fm
    python -m experiments.benchmark --suite=memory --embedding_dims=64,128
    python -m experiments.benchmark --suite=peers --models=afm,deepfm --batch_sizes=256,4096

A table goes to stderr; the last line of stdout is the JSON of it. Numbers are medians
with quartiles over windows in which the cases take turns; ratios are taken turn by turn,
so that they hold on a machine that others use, as times do not.

The suite peers compares with PyTorch and deepctr-torch; at its first run pip installs
them in an environment of their own, in the user's cache folder unless --peers_dir says.
"""

import functools
import os
import pathlib
import sys
import typing
from collections.abc import Mapping
from typing import Any

from absl import flags
from flax import linen as nn

from afm_jax import hyperparameters, models
from afm_jax.errors import InputError, did_you_mean
from afm_jax.ops import attention as ops_attention
from afm_jax.training import optimizers
from afm_jax.training.task import TABLE_UPDATES
from experiments import host_memory, startup
from experiments.benchmark import (
    attention,
    epoch,
    evaluation,
    loader,
    memory,
    predict,
    prepare,
    report,
    step,
    timing,
    workload,
)
from experiments.benchmark.peers import suite as peers
from experiments.cli import program

FLAGS = flags.FlagValues()

_string = functools.partial(flags.DEFINE_string, flag_values=FLAGS)
_strings = functools.partial(flags.DEFINE_multi_string, flag_values=FLAGS)
_integer = functools.partial(flags.DEFINE_integer, flag_values=FLAGS)
_float = functools.partial(flags.DEFINE_float, flag_values=FLAGS)
_enum = functools.partial(flags.DEFINE_enum, flag_values=FLAGS)
_list = functools.partial(flags.DEFINE_list, flag_values=FLAGS)

_ATTENTIONS = typing.get_args(ops_attention.Implementation)
_SUITES = (
    "attention",
    "epoch",
    "evaluation",
    "loader",
    "memory",
    "peers",
    "predict",
    "prepare",
    "step",
)

_SUITE = _enum("suite", None, _SUITES, "What to time.")
flags.mark_flag_as_required("suite", flag_values=FLAGS)
_WINDOWS = _integer(
    "windows", None, "Turns; by default 7, for prepare and predict 3.", lower_bound=1
)
_SECONDS = _float("seconds", 0.5, "Length of a window.", lower_bound=0.0)
_MODELS = _list(
    "models", ["fm", "afm", "afm_deep"], "step, evaluation, predict, peers."
)
_SET = _strings(
    "set",
    [],
    "step, evaluation: hyperparameter of all --models, name=value; repeatable.",
)
_BATCH_SIZES = _list(
    "batch_sizes",
    ["4096"],
    "step, evaluation, attention, loader, peers: rows of a batch.",
)
_VOCAB_SIZES = _list(
    "vocab_sizes", ["1000000"], "step, peers, evaluation, memory: table rows."
)
_TABLE_UPDATES = _list("table_updates", ["rows"], f"step: of {TABLE_UPDATES}.")
_SOURCES = _list(
    "sources",
    ["memory", "loader"],
    f"step, peers: where (our) batches come from, of {step.SOURCES}.",
)
_TASKS = _list("tasks", list(peers.TASKS), f"peers: of {peers.TASKS}.")
_PEERS_DIR = _string(
    "peers_dir",
    None,
    "peers: folder of their virtual environment; by default in the user's cache folder.",
)
_OPTIMIZER = _enum("optimizer", "adam", optimizers.OPTIMIZERS, "step.")
_ROWS = _list(
    "rows",
    None,
    "prepare and predict (1000000,4000000), loader (2000000), evaluation (5000000, of the AUC).",
)
_IMPLEMENTATIONS = _list(
    "implementations", ["reference", "blocked"], f"attention: of {_ATTENTIONS}."
)
_NUMS_FIELDS = _list("nums_fields", ["26", "39"], "attention: F, fields.")
_EMBEDDING_DIMS = _list(
    "embedding_dims", ["16"], "attention: k, and t; memory: width of the table."
)
_DEVICE = _enum("device", None, ["cpu", "gpu"], "attention: by default jax's.")
_TRAIN_FLAG = _strings(
    "train_flag",
    [],
    "epoch: flag of experiments.train, such as --train_flag=--model=fm; repeatable.",
)
_EPOCHS = _integer("epochs", 5, "epoch.", lower_bound=1)


def main() -> dict[str, Any]:
    """Runs the suite; returns the machine and the cases."""
    kept = host_memory.keep_freed()
    startup.check_sums()
    before = report.machine()
    cases = _run(_SUITE.value)
    print(report.table(cases), file=sys.stderr)
    return {
        "suite": _SUITE.value,
        "machine": before,
        "load_after": [round(load, 2) for load in os.getloadavg()],
        "keeps_freed_memory": kept,
        "peak_rss_mb": report.peak_rss_mb(),
        "cases": cases,
    }


def _run(suite: str) -> list[dict[str, Any]]:
    windows = _WINDOWS.value or (3 if suite in ("predict", "prepare") else 7)
    turns = timing.Turns(windows, _SECONDS.value)
    if suite == "prepare":
        return prepare.run(
            row_counts=_numbers("rows", [1_000_000, 4_000_000]), windows=windows
        )
    if suite == "predict":
        return predict.run(
            model_names=_MODELS.value,
            row_counts=_numbers("rows", [1_000_000, 4_000_000]),
            windows=windows,
        )
    if suite == "epoch":
        return epoch.run(train_flags=_TRAIN_FLAG.value, epochs=_EPOCHS.value)
    if suite == "memory":
        return memory.run(
            vocab_size=_number("vocab_sizes"), embedding_dims=_numbers("embedding_dims")
        )
    batch_sizes = _numbers("batch_sizes")
    if suite == "loader":
        return loader.run(
            num_rows=_number("rows", 2_000_000),
            batch_size=_number("batch_sizes"),
            turns=turns,
        )
    if suite == "attention":
        return attention.run(
            implementations=typing.cast(Any, _choices("implementations", _ATTENTIONS)),
            batch_sizes=batch_sizes,
            nums_fields=_numbers("nums_fields"),
            embedding_dims=_numbers("embedding_dims"),
            device=_DEVICE.value,
            turns=turns,
        )
    if suite == "peers":
        return peers.run(
            model_names=_MODELS.value,
            batch_sizes=batch_sizes,
            vocab_sizes=_numbers("vocab_sizes"),
            tasks=_choices("tasks", peers.TASKS),
            sources=_choices("sources", step.SOURCES),
            folder=_peers_dir(),
            turns=turns,
        )
    given = hyperparameters.read("set", _SET.value)
    for name in _MODELS.value:
        models.make(name, vocab_size=1, **given)
    if suite == "evaluation":
        return evaluation.run(
            model_names=_MODELS.value,
            batch_sizes=batch_sizes,
            vocab_size=_number("vocab_sizes"),
            settings=given,
            auc_rows=_number("rows", 5_000_000),
            turns=turns,
        )
    return step.run(
        models={
            name: functools.partial(_make_model, name, given) for name in _MODELS.value
        },
        batch_sizes=batch_sizes,
        vocab_sizes=_numbers("vocab_sizes"),
        table_updates=_choices("table_updates", TABLE_UPDATES),
        sources=_choices("sources", step.SOURCES),
        optimizer=_OPTIMIZER.value,
        turns=turns,
    )


def _make_model(name: str, settings: Mapping[str, Any], vocab_size: int) -> nn.Module:
    return models.make(name, vocab_size=vocab_size, **settings)


def _peers_dir() -> pathlib.Path:
    if _PEERS_DIR.value is not None:
        return pathlib.Path(_PEERS_DIR.value)
    try:
        return startup.cache() / "peers"
    except RuntimeError:
        raise InputError(
            "There is no home folder; name one with --peers_dir."
        ) from None


def _numbers(name: str, default: list[int] | None = None) -> list[int]:
    texts = FLAGS[name].value
    try:
        numbers = default if texts is None else [int(float(text)) for text in texts]
    except (ValueError, OverflowError):
        numbers = None
    least = workload.NUM_FIELDS if name == "vocab_sizes" else 1
    if not numbers or min(numbers) < least:
        raise InputError(
            f"--{name}={','.join(texts or ())}: expected whole numbers, {least} or more, separated by commas."
        )
    return numbers


def _number(name: str, default: int | None = None) -> int:
    numbers = _numbers(name, None if default is None else [default])
    if len(numbers) > 1:
        raise InputError(f"--suite={_SUITE.value} takes one number for --{name}.")
    return numbers[0]


def _choices(name: str, known: tuple[str, ...]) -> list[str]:
    given = FLAGS[name].value or []
    for value in given:
        if value not in known:
            raise InputError(
                f"--{name}={value}: choose from {known}.{did_you_mean(value, known)}"
            )
    return given


if __name__ == "__main__":
    sys.exit(program.run(main, FLAGS))
