"""Trains several models with several seeds each, and says which is better.

    python -m experiments.compare --models=lr,fm,afm --seeds=3 --workdir=runs/compare
    python -m experiments.compare --flagfiles=one.flags,two.flags --data_dir=prepared \\
        --workdir=runs/compare

A model is compared with the defaults of experiments.train, or as a preset has it: a
flagfile with --model, --set and whatever else, which is called by its file's name. Other
flags of experiments.train hold for all models, and over what a preset says. The same
command again goes on where it was stopped or killed.

Runs are trained in this process, one after another. Processes of their own would start
and compile anew each time, and one that outlives a killed comparison would go on
writing into a folder that the next one resumes.
"""

import contextlib
import copy
import logging
import pathlib
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
from absl import flags

from afm_jax.data.store.reader import Store
from afm_jax.errors import InputError, did_you_mean
from afm_jax.training.run.folder import Run
from experiments import asked, plots, report, runs, startup, statistics, train, workdirs
from experiments.cli import flagfiles, groups, program, words
from experiments.cli.progress import show_progress

FLAGS = flags.FlagValues()

_MODELS = flags.DEFINE_list(
    "models", [], "Names of models to compare, separated by commas.", flag_values=FLAGS
)
_FLAGFILES = flags.DEFINE_list(
    "flagfiles",
    [],
    "Presets of experiments.train, or folders of them, separated by commas.",
    flag_values=FLAGS,
)
_SEEDS = flags.DEFINE_integer(
    "seeds",
    5,
    "Number of runs of each model, with --seed=0, 1 and so on.",
    lower_bound=1,
    flag_values=FLAGS,
)
_WORKDIR = flags.DEFINE_string(
    "workdir", None, "Folder of the runs and of the report.", flag_values=FLAGS
)
_REFERENCE = flags.DEFINE_string(
    "reference",
    None,
    "The model or preset that the others are compared with. If not given, it is the first.",
    flag_values=FLAGS,
)
_RESAMPLES = flags.DEFINE_integer(
    "resamples",
    2000,
    "Number of times that the rows are resampled, for intervals and p-values.",
    lower_bound=100,
    flag_values=FLAGS,
)
_PLOTS = flags.DEFINE_boolean(
    "plots", True, "Draw plots, which needs the extra plots.", flag_values=FLAGS
)

_OF_TRAIN = tuple(
    name
    for name in train.FLAGS
    if name not in (*FLAGS, "model", "seed", "resume", "undefok")
)
for _name in _OF_TRAIN:
    FLAGS[_name] = copy.deepcopy(train.FLAGS[_name])
    groups.take(FLAGS, _name, train.FLAGS)

_log = logging.getLogger(__name__)


class Entry(NamedTuple):
    """What is compared: its name, and the flags that make it."""

    name: str
    arguments: tuple[str, ...]


def main() -> dict[str, Any]:
    """Trains, compares and reports as the flags say; returns the summary."""
    startup.prepare()
    if _PLOTS.value:
        plots.check()
    entries = _entries()
    asked.answer(text for entry in entries for text in _told(entry))
    if _WORKDIR.value is None:
        raise InputError(f"--workdir is required: {FLAGS['workdir'].help}")
    workdir = pathlib.Path(_WORKDIR.value)
    names = [entry.name for entry in entries]
    reference = _REFERENCE.value or names[0]
    if reference not in names:
        raise InputError(
            f"--reference={reference} is none of {tuple(names)}.{did_you_mean(reference, names)}"
        )
    least = statistics.least_resamples(len(entries) - 1)
    if _RESAMPLES.value < least:
        raise InputError(
            f"--resamples={_RESAMPLES.value} are too few to tell {len(entries)} models apart; give {least} or more."
        )
    with workdirs.held(workdir):
        _check_folder(workdir, entries)
        return _compare(entries, workdir, reference)


def _compare(
    entries: list[Entry], workdir: pathlib.Path, reference: str
) -> dict[str, Any]:
    store = _open_data(entries, workdir)
    split = next((name for name in ("test", "validation") if name in store.splits), "")
    if not split:
        raise InputError("The data have neither a test nor a validation split.")
    labels, weights = store.splits[split].labels, store.splits[split].weights
    if labels.min() == labels.max():
        raise InputError(f"The {split} split is all of one class: nothing to compare.")
    compared = _train_all(entries, workdir, store, split)
    resamples = _RESAMPLES.value
    with show_progress("Resampling", resamples, "draws") as advance:
        summary = report.summarize(
            compared,
            labels,
            split,
            reference,
            weights=weights,
            resamples=resamples,
            advance=advance,
        )
    report.write(workdir, summary, compared)
    if _PLOTS.value:
        plots.draw(workdir, summary, compared)
    return {**summary, "workdir": str(workdir)}


def _check_folder(workdir: pathlib.Path, entries: list[Entry]) -> None:
    """Raises InputError if the runs or the report could not be written, in the end."""
    if Run(workdir).exists():
        raise InputError(
            f"{workdir} holds a run of experiments.train; name another --workdir."
        )
    files = (*report.FILES, *(plots.FILES if _PLOTS.value else ()))
    names = [entry.name for entry in entries]
    workdirs.check_paths(
        [workdir / name for name in files], [workdir / name for name in names]
    )
    for name in names:
        for folder in sorted((workdir / name).glob("seed_*")):
            run = Run(folder)
            workdirs.check_paths(run.files, [folder, *run.folders])


def _entries() -> list[Entry]:
    for flag, values in ("models", _MODELS.value), ("flagfiles", _FLAGFILES.value):
        if not all(values):
            raise InputError(f"--{flag}={','.join(values)}: a name is empty.")
    entries = [Entry(name, (f"--model={name}",)) for name in _MODELS.value]
    for text in _FLAGFILES.value:
        path = pathlib.Path(text)
        files = sorted(path.glob("*.flags")) if path.is_dir() else [path]
        if not files:
            raise InputError(f"--flagfiles: the folder {path} holds no *.flags.")
        for file in files:
            if not file.is_file():
                raise InputError(f"--flagfiles: {flagfiles.missing(file)}")
            entries.append(Entry(file.stem, (f"--flagfile={file}",)))
    names = [entry.name for entry in entries]
    if not names:
        raise InputError("Nothing to compare: name --models, --flagfiles or both.")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"{twice[0]!r} is there twice; a name stands for one thing.")
    return entries


def _told(entry: Entry) -> list[str]:
    """What can be set of an entry, if a flag such as --set=help asks for it."""
    _parse(entry, 0, pathlib.Path())
    with _errors_name(entry.name):
        return asked.told(train.FLAGS)


def _open_data(entries: list[Entry], workdir: pathlib.Path) -> Store:
    """The data of all entries, whose flags are checked before anything is trained."""
    data: dict[tuple[str, str | None], str] = {}
    models = {}
    for entry in entries:
        _parse(entry, 0, workdir)
        config = train.config()
        data.setdefault((config["dataset"], config["data_dir"]), entry.name)
        models[entry.name] = config["model"], config["set"]
    if len(data) > 1:
        found_on = ", ".join(
            f"{name} on {dataset}" for (dataset, _), name in data.items()
        )
        raise InputError(
            f"All models must be trained on the same data, found {found_on}."
        )
    store = runs.open_data(*next(iter(data)))
    for name, (model, settings) in models.items():
        with _errors_name(name):
            runs.make_model(model, settings, store.schema)
    return store


def _train_all(
    entries: list[Entry], workdir: pathlib.Path, store: Store, split: str
) -> dict[str, list[report.Run]]:
    """Trains what is missing, seed by seed, so that the first seed gives a first look."""
    compared: dict[str, list[report.Run]] = {entry.name: [] for entry in entries}
    num_rows, failed = store.schema.rows[split], {}
    all_runs = [(seed, entry) for seed in range(_SEEDS.value) for entry in entries]
    seconds: dict[str, float] = {}
    for number, (seed, entry) in enumerate(all_runs):
        folder = _parse(entry, seed, workdir)
        title = f"{entry.name}, seed {seed}"
        result = workdirs.finished(folder, train.config(), store.schema)
        logits = Run(folder).read_logits(split, num_rows)
        if result is None or logits is None:
            left = _time_left(seconds, [other.name for _, other in all_runs[number:]])
            _log.info("Run %d of %d: %s.%s", number + 1, len(all_runs), title, left)
            if Run(folder).config.exists():
                _parse(entry, seed, workdir, "--resume")
            began = time.monotonic()
            try:
                result = train.run()
            except InputError as error:
                failed[title] = str(error)
                continue
            except KeyboardInterrupt:
                _log.info("The same command goes on with %s.", title)
                raise
            jax.clear_caches()  # Of no use to the next run, whatever it is.
            seconds[entry.name] = time.monotonic() - began
            logits = Run(folder).read_logits(split, num_rows)
        assert logits is not None
        rows = store.schema.rows["train"]
        config, loss = train.config(), train.make_loss()
        run = report.Run(folder, seed, config, result, logits, loss, rows)
        compared[entry.name].append(run)
    if failed:
        title, told = next(iter(failed.items()))
        raise InputError(
            f"{len(failed)} of {len(all_runs)} runs failed, the others are kept; {title}: {told}"
        )
    return compared


def _time_left(seconds: Mapping[str, float], names: Sequence[str]) -> str:
    """What runs of these models will take, by the runs so far; '' if there are none.

    Args:
        seconds: what a run of a model took, by its name.
        names: the models of the runs that are left.
    """
    if not seconds:
        return ""
    mean = sum(seconds.values()) / len(seconds)
    left = sum(seconds.get(name, mean) for name in names)
    return f" About {words.duration(left)} left."


def _parse(entry: Entry, seed: int, workdir: pathlib.Path, *more: str) -> pathlib.Path:
    """Sets the flags of experiments.train for a run; returns the run's folder."""
    folder = workdir / entry.name / f"seed_{seed}"
    shared = [
        text
        for name in _OF_TRAIN
        if FLAGS[name].present
        for text in FLAGS[name].serialize().split("\n")
    ]
    last = (f"--seed={seed}", f"--workdir={folder}", "--noresume", *more)
    with _errors_name(entry.name):
        program.parse(train.FLAGS, ["train", *entry.arguments, *shared, *last])
    return folder


@contextlib.contextmanager
def _errors_name(name: str) -> Iterator[None]:
    """Errors within say which model they are about."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{name}: {error}") from None


if __name__ == "__main__":
    sys.exit(program.run(main, FLAGS))
