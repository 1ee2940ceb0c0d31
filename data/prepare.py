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

from absl import flags

from afm_jax.data import fields
from afm_jax.data.store import reader, writer
from afm_jax.errors import InputError, install
from data import summary
from experiments.cli import program
from experiments.cli.progress import show_stages

DATASETS = {
    "frappe": "data.frappe.frappe_dataset_builder.Builder",
    "criteo": "data.criteo.criteo_dataset_builder.Builder",
    "avazu": "data.avazu.avazu_dataset_builder.Builder",
    "movielens_100k": "data.movielens_100k.movielens_100k_dataset_builder.Builder",
    "libfm": "afm_jax.data.preparation.raw_builder.LibfmBuilder",
    "csv": "afm_jax.data.preparation.raw_builder.CsvBuilder",
    "parquet": "afm_jax.data.preparation.raw_builder.ParquetBuilder",
    "synthetic": "data.synthetic.synthetic_dataset_builder.Builder",
}

FLAGS = flags.FlagValues()

_DATASET = flags.DEFINE_enum(
    "dataset",
    None,
    list(DATASETS),
    "What the source is: a named data set, any files of a format, or rows that are drawn.",
    flag_values=FLAGS,
)
_SOURCE = flags.DEFINE_string(
    "source",
    None,
    "File or folder of raw data. Every dataset but synthetic needs one.",
    flag_values=FLAGS,
)
_DATA_DIR = flags.DEFINE_string(
    "data_dir", None, "Folder that holds all prepared stores.", flag_values=FLAGS
)
_NAME = flags.DEFINE_string(
    "name",
    None,
    "Name of the store; that of the dataset if not given.",
    flag_values=FLAGS,
)
_OVERWRITE = flags.DEFINE_bool(
    "overwrite",
    False,
    "Replace the store of this name, once the new one is whole.",
    flag_values=FLAGS,
)
_RECORDS = flags.DEFINE_bool(
    "records",
    False,
    "Also write the rows of the store as TFDS records, to exchange them.",
    flag_values=FLAGS,
)
_VERIFY = flags.DEFINE_bool(
    "verify",
    False,
    "Prepare nothing; check every checksum and row of the store of this name.",
    flag_values=FLAGS,
)
_UPGRADE = flags.DEFINE_bool(
    "upgrade",
    False,
    "Prepare nothing; make a store of the records of version 1 of this name.",
    flag_values=FLAGS,
)
flags.mark_flag_as_required("data_dir", flag_values=FLAGS)

_ALSO = {
    "min_count": " If not given, 1, for criteo 10 and for avazu 2, as in the BARS benchmarks x4_001, for synthetic 10.",
}
"""What to add to the help of an option, since it depends on the data set."""

_OF_THE_PROGRAM = frozenset(FLAGS)

# The options of the preparation, passed on as they are if given.
for _option in fields.options():
    _define = (
        flags.DEFINE_integer if isinstance(_option.default, int) else flags.DEFINE_list
    )
    _more = _ALSO.get(_option.name, "")
    _define(_option.name, None, _option.help + _more, flag_values=FLAGS)
flags.DEFINE_enum(
    "split",
    None,
    ["random", "time"],
    "How rows are split that do not come in files named train, validation and test, and how validation rows are held out of train where there is no validation file; random if not given.",
    flag_values=FLAGS,
)
flags.DEFINE_list(
    "fractions",
    None,
    "Fractions of the rows for train, validation and perhaps test. If not given, 0.8,0.1,0.1, or 0.9,0.1 where the test rows are a file of their own.",
    flag_values=FLAGS,
)
flags.DEFINE_integer(
    "seed",
    None,
    "Seed of the random split, or of the synthetic rows; 0 if not given.",
    flag_values=FLAGS,
)
flags.DEFINE_list(
    "rows",
    None,
    "For synthetic, how many rows to draw for train, validation and perhaps test; 200000,25000,25000 if not given.",
    flag_values=FLAGS,
)
flags.DEFINE_string(
    "label",
    None,
    "For csv and parquet, the name of the column of labels, which are 0 or 1.",
    flag_values=FLAGS,
)
for _role, _told in {
    "categorical": "columns of categories, each value of which gets an id",
    "numeric": "columns of numbers",
    "multi_valued": "columns that hold any number of categories a row",
}.items():
    flags.DEFINE_list(
        _role,
        None,
        f"For csv and parquet, the names of the {_told}.",
        flag_values=FLAGS,
    )
flags.DEFINE_string(
    "separator",
    None,
    "For csv and parquet, what stands between the values of a multi-valued column; | if not given.",
    flag_values=FLAGS,
)
flags.DEFINE_string(
    "time",
    None,
    "For csv and parquet, the name of the column of times for --split=time.",
    flag_values=FLAGS,
)
flags.DEFINE_list(
    "field_sizes",
    None,
    "For libfm, how many ids, counted from 0, each field has. If not given, the position of a feature in its row tells its field.",
    flag_values=FLAGS,
)
flags.DEFINE_list(
    "field_names", None, "For libfm, the names of the fields.", flag_values=FLAGS
)

_OPTIONS = tuple(name for name in FLAGS if name not in _OF_THE_PROGRAM)
_NUMBERS = {"fractions": float, "field_sizes": int, "rows": int}

_log = logging.getLogger(__name__)


def main() -> dict[str, Any]:
    """Prepares the source, or does what is asked instead; see the module's docstring.

    Raises:
        InputError: of the source or a flag.
    """
    name = _NAME.value or _DATASET.value
    if name is None:
        raise InputError(f"--dataset is required: {FLAGS['dataset'].help}")
    data_dir = pathlib.Path(_DATA_DIR.value)
    if _VERIFY.value or _UPGRADE.value:
        return _of_a_store(data_dir, name)
    if _DATASET.value is None:
        raise InputError(f"--dataset is required: {FLAGS['dataset'].help}")
    needs_source = _DATASET.value != "synthetic"
    if needs_source and _SOURCE.value is None:
        raise InputError(f"--source is required: {FLAGS['source'].help}")
    if not needs_source and _SOURCE.value is not None:
        raise InputError("--source has no meaning for synthetic, which is drawn.")
    start = time.monotonic()
    builder, source = _import("afm_jax.data.preparation.builder"), _SOURCE.value
    module, _, attribute = DATASETS[_DATASET.value].rpartition(".")
    with show_stages() as advance:
        written = builder.build(
            getattr(_import(module), attribute),
            data_dir=data_dir,
            name=name,
            source=None if source is None else pathlib.Path(source),
            options=_options(),
            overwrite=_OVERWRITE.value,
            advance=advance,
        )
    seconds = time.monotonic() - start
    if _RECORDS.value:
        _log.info("Records are in %s.", builder.write_records(data_dir, name))
    result = _told(data_dir, name, written)
    return {**result, "rows_per_second": round(sum(result["rows"].values()) / seconds)}


def _of_a_store(data_dir: pathlib.Path, name: str) -> dict[str, Any]:
    """The result of --verify or --upgrade."""
    given = [
        flag
        for flag in (*_OPTIONS, "source", "overwrite", "records")
        if FLAGS[flag].present
    ]
    if given or (_VERIFY.value and _UPGRADE.value):
        other = given[0] if given else "upgrade"
        what = "verify" if _VERIFY.value else "upgrade"
        raise InputError(f"--{other} has no meaning beside --{what}.")
    with show_stages() as advance:
        if _VERIFY.value:
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
    return {
        "dataset": name,
        "rows": dict(written.schema.rows),
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
    options = {name: FLAGS[name].value for name in _OPTIONS}
    options = {name: value for name, value in options.items() if value is not None}
    for name, number in _NUMBERS.items():
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
