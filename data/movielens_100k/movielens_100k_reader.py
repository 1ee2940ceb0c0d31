"""MovieLens-100K: ratings with the user's and the film's properties.

A rating of 4 or 5 is label 1. The genres are a multi-valued field; the zip prefix is the
first digit of the zip code, its region; the release year is the end of the date. The
files are u.data, u.user and u.item, and u.genre for the names of the genres. Rows to predict
may lack the rating; the other files stand beside theirs.
"""

import functools
import pathlib
from collections.abc import Iterator, Mapping, Sequence

import polars as pl

from afm_jax.data import formats
from afm_jax.data.formats import columns, delimited, joins, kept, records, text
from afm_jax.data.formats.dialect import Dialect
from afm_jax.errors import InputError

FIELDS = ("user", "item", "age", "gender", "occupation", "zip_prefix", "release_year")

_RATINGS = Dialect("\t")
_TABLE = Dialect("|")
_LATIN_1 = Dialect("|", encoding="latin-1")

_RATING = "rating"
_DATA = dict.fromkeys(("user", "item", _RATING, "timestamp"), "whole")
_TABLES = ("u.user", "u.item", "u.genre")
_USERS = {
    "user": "whole",
    "age": "whole",
    "gender": "text",
    "occupation": "text",
    "zip": "text",
}
_FILM = {
    "item": "whole",
    "title": "unused",
    "date": "text",
    "video_date": "unused",
    "url": "unused",
}
_DATE = r"^\d{1,2}-[A-Z][a-z]{2}-\d{4}$"


def files(source: pathlib.Path) -> list[pathlib.Path]:
    """The file of the ratings.

    Raises:
        InputError: the folder lacks one of the files.
    """
    _require(source, "u.data", *_TABLES)
    return [source / "u.data"]


def _require(folder: pathlib.Path, *names: str) -> None:
    for name in names:
        if not (folder / name).is_file():
            raise InputError(
                f"{folder / name} does not exist; --source is the folder of MovieLens-100K with u.data, u.user, u.item and u.genre, or for new rows a file beside them."
            )


OPTIONS: tuple[str, ...] = ()


def open_reader(
    paths: Sequence[pathlib.Path], options: formats.Options
) -> formats.Reader:
    """The reader, with the users and films loaded.

    Raises:
        InputError: the files of users, films or genres are not as they should be.
    """
    folder, header = paths[0].parent, dict(_DATA)
    if "kept" in options and records.width(paths[0], _RATINGS) == len(_DATA) - 1:
        del header[_RATING]
    names = kept.names(options, tuple(header))
    columns.require(str(paths[0]), tuple(header), names)
    _require(folder, *_TABLES)
    features = [formats.Column(name, "categorical") for name in FIELDS]
    features.append(formats.Column("genres", "multi_valued"))
    tables = {"user": _load_users(folder / "u.user"), "item": _load_films(folder)}
    parts = functools.partial(_parts, header=header, names=names, tables=tables)
    return formats.Reader(
        formats.Layout("rating >= 4", tuple(features), order=formats.TIME),
        parts,
        tuple(folder / name for name in _TABLES),
    )


def _parts(
    path: pathlib.Path,
    *,
    header: Mapping[str, str],
    names: Sequence[str],
    tables: Mapping[str, pl.DataFrame],
) -> Iterator[formats.Part]:
    for chunk in text.chunks(path, _RATINGS):
        parse = functools.partial(_parse, chunk, header, names, tables)
        yield formats.Part(parse, chunk.taken)


def _parse(
    chunk: text.Chunk,
    header: Mapping[str, str],
    names: Sequence[str],
    tables: Mapping[str, pl.DataFrame],
) -> pl.DataFrame:
    frame = delimited.parse(chunk, header, told=", ".join(header))
    path, line = chunk.path, chunk.first_line
    rated = [name for name in header if name == _RATING]
    for name in rated:
        wrong = ~frame[name].is_between(1, 5)
        _refuse(path, frame[name], wrong, "the rating is {}, expected 1 to 5", line)
    for name, known in tables.items():
        strange = ~frame[name].is_in(known[name].implode())
        _refuse(path, frame[name], strange, f"{name} {{}} is not in u.{name}", line)
        frame = joins.add_columns(frame, known, on=name)
    texts = kept.columns(chunk, header, names)
    return frame.select(
        *((pl.col(name) >= 4).cast(pl.Float32).alias(formats.LABEL) for name in rated),
        *(pl.col(name).cast(pl.String) for name in FIELDS),
        "genres",
        pl.col("timestamp").alias(formats.TIME),
        *(each.alias(formats.KEPT + each.name) for each in texts),
    )


def _load_users(path: pathlib.Path) -> pl.DataFrame:
    users = pl.concat(
        delimited.parse(chunk, _USERS) for chunk in text.chunks(path, _TABLE)
    )
    _refuse_twice(path, users["user"])
    return users.select(
        "user",
        "age",
        "gender",
        "occupation",
        pl.col("zip").str.slice(0, 1).alias("zip_prefix"),
    )


def _load_films(folder: pathlib.Path) -> pl.DataFrame:
    genres = _load_genres(folder / "u.genre")
    flags = {f"genre {name}": name for name in genres}
    path = folder / "u.item"
    films = pl.concat(
        delimited.parse(
            chunk,
            {**_FILM, **dict.fromkeys(flags, "label")},
            told="5 columns and a flag for each genre",
        )
        for chunk in text.chunks(path, _LATIN_1)
    )
    _refuse_twice(path, films["item"])
    no_date = ~films["date"].str.contains(_DATE).fill_null(True)
    _refuse(
        path,
        films["date"],
        no_date,
        "the date is {}, expected one such as 01-Jan-1995, or none",
    )
    names = [pl.when(pl.col(flag) == 1).then(pl.lit(flags[flag])) for flag in flags]
    return films.select(
        "item",
        pl.col("date").str.slice(-4).alias("release_year"),
        pl.concat_list(names).list.drop_nulls().alias("genres"),
    )


def _load_genres(path: pathlib.Path) -> pl.Series:
    columns = {"name": "text", "number": "whole"}
    genres = pl.concat(
        delimited.parse(chunk, columns) for chunk in text.chunks(path, _TABLE)
    )
    _refuse(path, genres["name"], genres["name"].is_null(), "a genre without a name")
    _refuse_twice(path, genres["name"])
    places = pl.arange(genres.height, eager=True)
    _refuse(
        path,
        genres["number"],
        genres["number"] != places,
        "the number is {}, expected 0, 1, 2, ... from line to line",
    )
    return genres["name"]


def _refuse_twice(path: pathlib.Path, keys: pl.Series) -> None:
    """A row of a table that comes twice would multiply the ratings."""
    _refuse(path, keys, ~keys.is_first_distinct(), f"{keys.name} {{}} is there twice")


def _refuse(
    path: pathlib.Path,
    values: pl.Series,
    wrong: pl.Series,
    told: str,
    first_line: int = 1,
) -> None:
    """Raises an InputError that tells the first of the values, one a line, that is wrong."""
    if wrong.any():
        row = int(wrong.arg_max() or 0)
        raise InputError(f"{path} line {first_line + row}: {told.format(values[row])}.")
