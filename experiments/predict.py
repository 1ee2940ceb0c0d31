"""Predicts new rows with a trained model.

    python -m experiments.predict --workdir=runs/x --source=new.csv --output=scores.csv

The file has the columns of the training data, in any format that data.prepare reads; a label
is not needed, and if there is one, the result has metrics. The rows come out in their order, with their columns, the
`probability` (under a loss that predicts none, the `prediction`) and the `logit`. `-` stands
for stdin and stdout.
"""

import contextlib
import json
import logging
import pathlib
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import IO, Any

from absl import flags

from afm_jax import files
from afm_jax.data.formats import dialect
from afm_jax.errors import InputError
from afm_jax.features import Schema
from data import catalogue, summary
from experiments import run_flags, startup
from experiments.cli import groups, option_flags, program, streams
from experiments.cli.progress import show_stages

FLAGS = flags.FlagValues()

_log = logging.getLogger(__name__)

_BY_ENDING = ("csv", "parquet")
"""Formats of any columns, of which the file's name tells which it is."""

_NOT_IN_CSV = ("Binary", "Duration")
"""Types of polars, beside those of lists, which CSV has no text for."""

_RUN = run_flags.define(FLAGS)
_SOURCE = flags.DEFINE_string(
    "source",
    None,
    "File of rows to predict; - for rows from stdin.",
    flag_values=FLAGS,
    required=True,
)
_OUTPUT = flags.DEFINE_string(
    "output",
    None,
    "File to write: Parquet if it ends in .parquet, else CSV; - for CSV to stdout, whose result then goes to stderr.",
    flag_values=FLAGS,
    required=True,
)
_ID = flags.DEFINE_list(
    "id",
    ["*"],
    "Columns of the source that the output keeps; all of them if not given.",
    flag_values=FLAGS,
)
_FORMAT = flags.DEFINE_enum(
    "format",
    None,
    list(catalogue.FORMATS),
    "Format of the source, as --dataset of data.prepare. If not given, it is Parquet if the name ends so, else what the rows of the run were read as, or CSV if that is not known.",
    flag_values=FLAGS,
)
option_flags.define(
    dialect.OPTIONS,
    groups.Group(FLAGS, "How the source is written"),
    help=lambda option: (
        f"How the source is written, as --{option.name} of data.prepare; as the training data if not given."
    ),
)


def main() -> dict[str, Any] | None:
    """Predicts as the flags say; returns what is known of the rows, if stdout is free."""
    startup.prepare()
    from afm_jax.inference import scoring  # needs polars

    _check_output()
    predictor = _RUN.predictor()
    with (
        _source() as source,
        show_stages() as advance,
        _told_of_preparation(predictor.schema, source) as format,
    ):
        reader = catalogue.reader(format)
        start = time.monotonic()
        scored = scoring.score(
            predictor,
            source,
            reader,
            kept=_ID.value,
            written=_written(format),
            advance=advance,
        )
        _write(scored)
        seconds = time.monotonic() - start
    found = scored.scores.result()
    for warning in summary.strangers(
        found["unseen"], found["missing"], predictor.vocabularies
    ):
        _log.warning(warning)
    result = {
        "model": _RUN.config()["model"],
        **found,
        "rows_per_second": round(found["rows"] / seconds),
        "output": _OUTPUT.value,
    }
    if _OUTPUT.value == "-":
        print(json.dumps(result), file=sys.stderr)
        return None
    return result


def _check_output() -> None:
    """Raises InputError if the source would be lost, but for the columns of --id."""
    source, output = pathlib.Path(_SOURCE.value), pathlib.Path(_OUTPUT.value)
    same = source.is_file() and output.is_file() and source.samefile(output)
    if same and _ID.value != ["*"]:
        raise InputError(
            f"--output={output} is the source itself, of which only the columns of --id would be left; name another file."
        )


@contextlib.contextmanager
def _told_of_preparation(schema: Schema, source: pathlib.Path) -> Iterator[str]:
    """The format of the source; what is wrong with it is told as it is for predict."""
    format = _format(source, schema)
    try:
        yield format
    except InputError as error:
        told = str(error).replace("--dataset=", "--format=")
        if _FORMAT.value is None and format not in _BY_ENDING:
            told += f" The source was read as {format}, as the rows of the run were; --format names another format."
        elif _FORMAT.value is None and "dataset" not in schema.options:
            told += f" The source was read as {format}, since the run does not tell its format; --format names another."
        if {*re.findall(r"--(\w+)", told)} <= {*FLAGS}:
            raise InputError(told) from None
        raise InputError(
            f"{told} That is a flag of data.prepare; predict reads new files as the run's files were read, so write them alike."
        ) from None


@contextlib.contextmanager
def _source() -> Iterator[pathlib.Path]:
    """The file to read; that of stdin is a copy, since its beginning is read twice."""
    if _SOURCE.value != "-":
        path = pathlib.Path(_SOURCE.value)
        if not path.is_file():
            raise InputError(f"--source={path}: there is no such file.")
        yield path
        return
    if sys.stdin is None:
        raise InputError("--source=-: stdin is closed; expected CSV from it.")
    with tempfile.NamedTemporaryFile(suffix=".csv") as file:
        shutil.copyfileobj(sys.stdin.buffer, file)
        file.flush()
        try:
            yield pathlib.Path(file.name)
        except InputError as error:
            raise InputError(str(error).replace(file.name, "stdin")) from None


def _written(format: str) -> dict[str, Any]:
    """The options that tell how the source is written, as far as they are given."""
    given = option_flags.given(dialect.OPTIONS, FLAGS)
    for name in given:
        if name not in catalogue.reader(format).OPTIONS:
            raise InputError(f"--{name} has no meaning for a source of {format}.")
    return given


def _format(source: pathlib.Path, schema: Schema) -> str:
    """What the source is read as."""
    if _FORMAT.value is not None:
        return _FORMAT.value
    if source.suffix in (".parquet", ".pq"):
        return "parquet"
    own = schema.options.get("dataset")
    others = [name for name in catalogue.FORMATS if name not in _BY_ENDING]
    return own if own in others else "csv"


def _write(scored: Any) -> None:
    if _OUTPUT.value == "-":
        with streams.binary_stdout() as file:
            _write_csv(scored, file)
        return
    path = pathlib.Path(_OUTPUT.value)
    with files.made(path.parent), files.written(path) as file:
        if path.suffix == ".parquet":
            _write_parquet(scored, file)
        else:
            _write_csv(scored, file)


def _write_csv(scored: Any, file: IO[bytes]) -> None:
    for name, kind in scored.schema.items():
        if kind.is_nested() or kind.base_type().__name__ in _NOT_IN_CSV:
            raise InputError(
                f"Column {name!r} is of type {kind}, which CSV cannot hold; name the columns to keep by --id, or let --output end in .parquet."
            )
    for number, frame in enumerate(scored.frames):
        file.write(frame.write_csv(include_header=number == 0).encode())


def _write_parquet(scored: Any, file: IO[bytes]) -> None:
    from polars.io.plugins import register_io_source

    frames = register_io_source(lambda *asked: scored.frames, schema=scored.schema)
    frames.sink_parquet(file)


if __name__ == "__main__":
    sys.exit(program.run(main, FLAGS))
