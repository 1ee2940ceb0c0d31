"""Prepares data for training: python -m data.prepare --dataset=criteo --source=FILE --data_dir=DIR

Reads plain or gzipped files, or draws synthetic rows, fits vocabularies and scales on the
training split, and writes a store that experiments.train reads. --verify checks every byte
of a store, and --upgrade makes a store of one of version 1:

    python -m data.prepare --verify --name=criteo --data_dir=DIR

The result, one JSON object, is the last line of stdout.
"""

import importlib
import logging
import pathlib
import sys
import time
from collections.abc import Mapping
from typing import Any

from afm_jax.data.store import reader, writer
from afm_jax.errors import InputError, install
from afm_jax.features import MISSING, UNSEEN
from afm_jax.label_kinds import LABEL_KINDS
from data import summary
from data.catalogue import DATASETS
from data.prepare_flags import FLAGS, NUMBERS, OPTIONS
from experiments.cli import program
from experiments.cli.progress import show_stages

_log = logging.getLogger(__name__)


def main() -> dict[str, Any]:
    """Prepares the source, or does what is asked instead; see the module's docstring.

    Raises:
        InputError: of the source or a flag.
    """
    data_dir = pathlib.Path(FLAGS.data_dir)
    if FLAGS.verify or FLAGS.upgrade:
        return _of_a_store(data_dir, _required("dataset", FLAGS.name or FLAGS.dataset))
    former = _former()
    dataset = _required("dataset", FLAGS.dataset or _dataset_of(former))
    name = FLAGS.name or (former.schema.dataset if former else dataset)
    for flag in ("source", "like"):
        if dataset == "synthetic" and FLAGS[flag].present:
            raise InputError(f"--{flag} has no meaning for synthetic, which is drawn.")
    source = FLAGS.source
    if dataset != "synthetic":
        source = pathlib.Path(_required("source", source))
    if FLAGS.overwrite and former and former.folder == (data_dir / name).resolve():
        raise InputError(
            f"--like={FLAGS.like} is the store that --overwrite would replace; give the new one another --name."
        )
    start = time.monotonic()
    builder = _import("afm_jax.data.preparation.builder")
    module, _, attribute = DATASETS[dataset].builder.rpartition(".")
    with show_stages() as advance:
        written = builder.build(
            getattr(_import(module), attribute),
            data_dir=data_dir,
            name=name,
            source=source,
            options=_options() | ({"like": former} if former else {}),
            overwrite=FLAGS.overwrite,
            advance=advance,
        )
    seconds = time.monotonic() - start
    if FLAGS.records:
        _log.info("Records are in %s.", builder.write_records(data_dir, name))
    result = _told(data_dir, name, written)
    return {**result, "rows_per_second": round(sum(result["rows"].values()) / seconds)}


def _required(flag: str, value: str | None) -> str:
    """The value of a flag; raises InputError, which tells what it is, if it is missing."""
    if value is None:
        raise InputError(f"--{flag} is required: {FLAGS[flag].help}")
    return value


def _former() -> Any:
    """What the new rows are to be encoded like, or None."""
    if FLAGS.like is None:
        return None
    return _import("afm_jax.data.preparation.former").Former.of(FLAGS.like)


def _dataset_of(former: Any) -> str | None:
    """What the old rows were read as; None if that is not known, or was no file."""
    dataset = former and former.schema.options.get("dataset")
    return dataset if dataset in list(DATASETS) else None  # JSON may hold anything


def _of_a_store(data_dir: pathlib.Path, name: str) -> dict[str, Any]:
    """The result of --verify or --upgrade."""
    given = [
        flag
        for flag in (*OPTIONS, "source", "like", "overwrite", "records")
        if FLAGS[flag].present
    ]
    if given or (FLAGS.verify and FLAGS.upgrade):
        other = given[0] if given else "upgrade"
        what = "verify" if FLAGS.verify else "upgrade"
        raise InputError(f"--{other} has no meaning beside --{what}.")
    with show_stages() as advance:
        if FLAGS.verify:
            return writer.verify(data_dir, name, advance=advance)
        upgrade = _import("afm_jax.data.store.upgrade").upgrade
        return _told(data_dir, name, upgrade(data_dir, name, advance=advance))


def _told(data_dir: pathlib.Path, name: str, written: writer.Written) -> dict[str, Any]:
    """What a store holds: log lines, and the result."""
    store = reader.open_store(data_dir, name)
    summary.tell(store)
    for split in written.schema.rows:
        for what, shares in ("unseen", written.unseen), ("missing", written.missing):
            if shares.get(split):
                _log.info("%s: %s values %s.", split, what, _percent(shares[split]))
    for split in [split for split in written.schema.rows if split != "train"]:
        unseen, missing = written.unseen.get(split, {}), written.missing.get(split, {})
        for warning in summary.strangers(unseen, missing, store.vocabularies):
            _log.warning("%s: %s", split, warning)
    trained = {
        what: {
            field.name
            for field in store.schema.fields
            if store.counts[field.offset + special]
        }
        for what, special in (("unseen", UNSEEN), ("missing", MISSING))
    }
    dense = store.schema.dense
    trained["missing"] |= {each.name for each in dense if each.transform == "missing"}
    for what, shares in ("unseen", written.unseen), ("missing", written.missing):
        for split in [split for split in written.schema.rows if split != "train"]:
            never = {
                field: share
                for field, share in shares.get(split, {}).items()
                if field not in trained[what]
            }
            if never:
                _log.warning(
                    "No training row has a value that is %s in these fields, so that nothing is learned of it; in %s: %s.",
                    what,
                    split,
                    _percent(never),
                )
    if written.schema.label_kind != "binary":
        kind = LABEL_KINDS[written.schema.label_kind]
        _log.info("The labels are %s.", kind)
    return {
        "dataset": name,
        "rows": dict(written.schema.rows),
        "labels": LABEL_KINDS[written.schema.label_kind],
        "positives": summary.positives(store),
        "fields": len(written.schema.fields),
        "vocab_size": written.schema.vocab_size,
        "unseen": written.unseen,
        "missing": written.missing,
        "data_dir": str(data_dir),
    }


def _percent(shares: Mapping[str, float]) -> str:
    return ", ".join(f"{field} {100 * share:.3g}%" for field, share in shares.items())


def _import(name: str) -> Any:
    """A module that needs the packages of the extra.

    Raises:
        InputError: one of them is not installed.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] in ("afm_jax", "data", "experiments"):
            raise
        raise InputError(
            f"data.prepare needs the package {error.name!r}; {install('data')}."
        ) from None


def _options() -> dict[str, Any]:
    """The options that were given."""
    options: dict[str, Any] = {name: FLAGS[name].value for name in OPTIONS}
    options = {name: value for name, value in options.items() if value is not None}
    for name, number in NUMBERS.items():
        words = "whole" if number is int else "real"
        try:
            if name in options:
                options[name] = [number(part) for part in options[name]]
        except ValueError:
            raise InputError(
                f"--{name}={','.join(options[name])}: expected {words} numbers, separated by commas."
            ) from None
    return options


if __name__ == "__main__":
    sys.exit(program.run(main, FLAGS))
