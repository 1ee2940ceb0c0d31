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
from afm_jax.label_kinds import LABEL_KINDS
from data import summary
from data.prepare_flags import DATASETS, FLAGS, NUMBERS, OPTIONS
from experiments.cli import program
from experiments.cli.progress import show_stages

_log = logging.getLogger(__name__)


def main() -> dict[str, Any]:
    """Prepares the source, or does what is asked instead; see the module's docstring.

    Raises:
        InputError: of the source or a flag.
    """
    name = FLAGS.name or FLAGS.dataset
    if name is None:
        raise InputError(f"--dataset is required: {FLAGS['dataset'].help}")
    data_dir = pathlib.Path(FLAGS.data_dir)
    if FLAGS.verify or FLAGS.upgrade:
        return _of_a_store(data_dir, name)
    if FLAGS.dataset is None:
        raise InputError(f"--dataset is required: {FLAGS['dataset'].help}")
    needs_source = FLAGS.dataset != "synthetic"
    if needs_source and FLAGS.source is None:
        raise InputError(f"--source is required: {FLAGS['source'].help}")
    if not needs_source and FLAGS.source is not None:
        raise InputError("--source has no meaning for synthetic, which is drawn.")
    start = time.monotonic()
    builder, source = _import("afm_jax.data.preparation.builder"), FLAGS.source
    module, _, attribute = DATASETS[FLAGS.dataset].rpartition(".")
    with show_stages() as advance:
        written = builder.build(
            getattr(_import(module), attribute),
            data_dir=data_dir,
            name=name,
            source=None if source is None else pathlib.Path(source),
            options=_options(),
            overwrite=FLAGS.overwrite,
            advance=advance,
        )
    seconds = time.monotonic() - start
    if FLAGS.records:
        _log.info("Records are in %s.", builder.write_records(data_dir, name))
    result = _told(data_dir, name, written)
    return {**result, "rows_per_second": round(sum(result["rows"].values()) / seconds)}


def _of_a_store(data_dir: pathlib.Path, name: str) -> dict[str, Any]:
    """The result of --verify or --upgrade."""
    given = [
        flag
        for flag in (*OPTIONS, "source", "overwrite", "records")
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
    for what, shares in ("unseen", written.unseen), ("missing", written.missing):
        for split in [split for split in written.schema.rows if split != "train"]:
            never = {
                field: share
                for field, share in shares.get(split, {}).items()
                if field not in shares.get("train", {})
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
