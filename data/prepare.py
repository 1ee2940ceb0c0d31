"""Prepares data for training: python -m data.prepare --dataset=criteo --source=FILE --data_dir=DIR

Reads plain or gzipped files, or draws synthetic rows, fits vocabularies and scales on the
training split, and writes a store that experiments.train reads. The result, one JSON object, is the last
line of stdout.
"""

import contextlib
import importlib
import pathlib
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import Any

from absl import flags

from afm_jax.errors import InputError
from data import leftovers, program
from data.store import check_name, store_folder

DATASETS = {
    "frappe": "data.frappe.frappe_dataset_builder.Builder",
    "criteo": "data.criteo.criteo_dataset_builder.Builder",
    "avazu": "data.avazu.avazu_dataset_builder.Builder",
    "movielens_100k": "data.movielens_100k.movielens_100k_dataset_builder.Builder",
    "libfm": "data.raw_builder.LibfmBuilder",
    "csv": "data.raw_builder.CsvBuilder",
    "parquet": "data.raw_builder.ParquetBuilder",
    "synthetic": "data.synthetic.synthetic_dataset_builder.Builder",
}

FLAGS = flags.FlagValues()

_DATASET = flags.DEFINE_enum(
    "dataset", None, list(DATASETS), "What the source is.", flag_values=FLAGS
)
_SOURCE = flags.DEFINE_string(
    "source",
    None,
    "File or folder of raw data; all but synthetic need one.",
    flag_values=FLAGS,
)
_DATA_DIR = flags.DEFINE_string(
    "data_dir", None, "Folder of all prepared stores.", flag_values=FLAGS
)
_NAME = flags.DEFINE_string(
    "name", None, "of the store; if not given, the dataset", flag_values=FLAGS
)
_OVERWRITE = flags.DEFINE_bool(
    "overwrite", False, "replace the store of this name", flag_values=FLAGS
)
flags.mark_flags_as_required(["dataset", "data_dir"], flag_values=FLAGS)

# The options of the preparation, passed on as they are if given.
flags.DEFINE_integer(
    "min_count",
    None,
    "values with fewer training rows count as unseen; 1 if not given, for criteo 10 and for avazu 2, as in the BARS benchmarks x4_001, for synthetic 10",
    flag_values=FLAGS,
)
flags.DEFINE_list(
    "numeric_as",
    None,
    "how numbers are kept: dense (standardised logarithms; the default), bucket_log2 or bucket_quantile, for all columns or as COLUMN:KIND for one",
    flag_values=FLAGS,
)
flags.DEFINE_integer(
    "buckets", None, "of bucket_quantile; 20 if not given", flag_values=FLAGS
)
flags.DEFINE_enum(
    "split",
    None,
    ["random", "time"],
    "how to split rows that do not come in files named train, validation and test, and how to hold validation rows out of train where there is no validation file; random if not given",
    flag_values=FLAGS,
)
flags.DEFINE_list(
    "fractions",
    None,
    "of train, validation and perhaps test rows; 0.8,0.1,0.1 if not given, or 0.9,0.1 where the test rows are a file of their own",
    flag_values=FLAGS,
)
flags.DEFINE_integer(
    "seed",
    None,
    "of the random split, or of synthetic; 0 if not given",
    flag_values=FLAGS,
)
flags.DEFINE_list(
    "rows",
    None,
    "synthetic: how many rows for train, validation and perhaps test; 200000,25000,25000 if not given",
    flag_values=FLAGS,
)
flags.DEFINE_string(
    "label", None, "csv, parquet: the column of the labels, 0 or 1", flag_values=FLAGS
)
for _role in ("categorical", "numeric", "multi_valued"):
    flags.DEFINE_list(
        _role, None, f"csv, parquet: the {_role} columns", flag_values=FLAGS
    )
flags.DEFINE_string(
    "separator",
    None,
    "csv, parquet: between the values of a multi-valued column; | if not given",
    flag_values=FLAGS,
)
flags.DEFINE_list(
    "max_slots",
    None,
    "Keep the first N items of each list of a multi-valued column; N for all such columns, or COLUMN:N for one. If not given, a column has as many slots as the longest list of a training row has items.",
    flag_values=FLAGS,
)
flags.DEFINE_string(
    "time", None, "csv, parquet: the column for --split=time", flag_values=FLAGS
)
flags.DEFINE_list(
    "field_sizes",
    None,
    "libfm: how many ids, counted from 0, each field has; if not given, fields are told by position",
    flag_values=FLAGS,
)
flags.DEFINE_list(
    "field_names", None, "libfm: the names of the fields", flag_values=FLAGS
)

_OPTIONS = (
    *("min_count", "numeric_as", "buckets", "split", "fractions", "seed", "label"),
    *("categorical", "numeric", "multi_valued", "separator", "max_slots", "time"),
    *("field_sizes", "field_names", "rows"),
)
_APART = ".incomplete."
_NUMBERS = {"fractions": float, "field_sizes": int, "rows": int}


def main() -> dict[str, Any]:
    """Prepares the source; see the module's docstring.

    Raises:
        InputError: of the source or a flag.
    """
    needs_source = _DATASET.value != "synthetic"
    if needs_source and _SOURCE.value is None:
        raise InputError(f"--source is required: {FLAGS['source'].help}")
    if not needs_source and _SOURCE.value is not None:
        raise InputError("--source has no meaning for synthetic, which is drawn.")
    build, open_store, builder = _import(DATASETS[_DATASET.value])
    data_dir = pathlib.Path(_DATA_DIR.value)
    name = _NAME.value or _DATASET.value
    check_name(name)
    start = time.monotonic()
    with _built_apart(data_dir, name) as folder:
        schema = build(
            builder,
            data_dir=folder,
            name=name,
            source=pathlib.Path(_SOURCE.value) if needs_source else None,
            options=_options(),
        )
        open_store(folder, name)
    seconds = time.monotonic() - start
    return {
        "dataset": name,
        "rows": dict(schema.rows),
        "fields": len(schema.fields),
        "vocab_size": schema.vocab_size,
        "data_dir": str(data_dir),
        "rows_per_second": round(sum(schema.rows.values()) / seconds),
    }


def _import(name: str) -> tuple[Any, Any, Any]:
    """Functions build and open_store, and the builder of this name."""
    module, _, attribute = name.rpartition(".")
    try:
        # Only here: they need the packages of the extra.
        from data.builder import build
        from data.store import open_store

        return build, open_store, getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] in ("afm_jax", "data"):
            raise
        raise InputError(
            f"data.prepare needs the package {error.name!r}; pip install 'afm_jax[data]'."
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


@contextlib.contextmanager
def _built_apart(data_dir: pathlib.Path, name: str) -> Iterator[pathlib.Path]:
    """A folder to build a store in, which then takes its place, or that of an old one.

    Until then, whatever happens, the old one stays as it is.

    Raises:
        InputError: there is a store and --overwrite is not given.
    """
    store = store_folder(data_dir, name)
    old = store.with_name(f".{store.name}.old")
    if old.exists() and not store.exists():  # killed on the way from old to new
        old.rename(store)
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(leftovers.made(store.parent))
        except OSError as error:
            raise InputError(f"--data_dir={data_dir}: {error.strerror}.") from None
        _check_free(store)
        with leftovers.cleared(store.parent, f"{_APART}*"):
            folder = pathlib.Path(tempfile.mkdtemp(prefix=_APART, dir=store.parent))
            try:
                yield folder
                _check_free(store)
                _replace(store, store_folder(folder, name), old)
            finally:
                shutil.rmtree(folder, ignore_errors=True)


def _replace(store: pathlib.Path, new: pathlib.Path, old: pathlib.Path) -> None:
    """Puts the new store in place, the present one being `old` until it is there."""
    shutil.rmtree(old, ignore_errors=True)
    if store.exists():
        store.rename(old)
    try:
        new.rename(store)
    except BaseException:
        if old.exists():
            old.rename(store)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _check_free(store: pathlib.Path) -> None:
    if store.exists() and not _OVERWRITE.value:
        raise InputError(
            f"{store} exists; give --overwrite to replace it, or --name to keep both."
        )


if __name__ == "__main__":
    sys.exit(program.run(main, FLAGS))
