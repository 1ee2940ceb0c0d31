"""MovieLens-100K: ratings with the user's and the film's properties.

A rating of 4 or 5 is label 1. The genres are a multi-valued field; the zip prefix is the
first digit of the zip code, its region; the release year is the end of the date. The
files are u.data, u.user and u.item, and u.genre for the names of the genres.
"""

import functools
import pathlib
from collections.abc import Iterator, Sequence

import polars as pl

from afm_jax.errors import InputError
from data import readers, text
from data.readers import delimited

FIELDS = ("user", "item", "age", "gender", "occupation", "zip_prefix", "release_year")

_DATA = dict.fromkeys(("user", "item", "rating", "timestamp"), "time")
_TABLES = ("u.user", "u.item", "u.genre")
_USERS = dict.fromkeys(("user", "age", "gender", "occupation", "zip"), "text")
_FILM = ("item", "title", "date", "video_date", "url")


def files(source: pathlib.Path) -> list[pathlib.Path]:
    """The file of the ratings.

    Raises:
        InputError: the folder lacks one of the files.
    """
    for name in ("u.data", *_TABLES):
        if not (source / name).is_file():
            raise InputError(
                f"{source / name} does not exist; --source is the folder of MovieLens-100K with u.data, u.user, u.item and u.genre."
            )
    return [source / "u.data"]


OPTIONS: tuple[str, ...] = ()


def open_reader(
    paths: Sequence[pathlib.Path], options: readers.Options
) -> readers.Reader:
    """The reader, with the users and films loaded.

    Raises:
        InputError: the files of users, films or genres are not as they should be.
    """
    folder = paths[0].parent
    columns = [readers.Column(name, "categorical") for name in FIELDS]
    columns.append(readers.Column("genres", "multi_valued"))
    parts = functools.partial(
        _parts, users=_load_users(folder / "u.user"), films=_load_films(folder)
    )
    return readers.Reader(
        readers.Layout("rating >= 4", tuple(columns), order=readers.TIME),
        parts,
        tuple(folder / name for name in _TABLES),
    )


def _parts(
    path: pathlib.Path, *, users: pl.DataFrame, films: pl.DataFrame
) -> Iterator[readers.Part]:
    for chunk in text.chunks(path):
        parse = functools.partial(_parse, chunk, users, films)
        yield readers.Part(parse, chunk.taken)


def _parse(chunk: text.Chunk, users: pl.DataFrame, films: pl.DataFrame) -> pl.DataFrame:
    frame = delimited.parse(
        chunk, _DATA, separator="\t", told="user, item, rating, timestamp"
    )
    wrong = ~frame["rating"].is_between(1, 5)
    if wrong.any():
        row = int(wrong.arg_max() or 0)
        raise InputError(
            f"{chunk.path} line {chunk.first_line + row}: the rating is {frame['rating'][row]:g}, expected 1 to 5."
        )
    frame = frame.with_columns(pl.col("user", "item").cast(pl.Int64).cast(pl.String))
    for name, known in (("user", users), ("item", films)):
        frame = frame.join(known, on=name, how="left", maintain_order="left")
        strange = frame[known.columns[-1]].is_null()
        if strange.any():
            row = int(strange.arg_max() or 0)
            raise InputError(
                f"{chunk.path} line {chunk.first_line + row}: {name} {frame[name][row]} is not in u.{name}."
            )
    return frame.select(
        (pl.col("rating") >= 4).cast(pl.Float32).alias(readers.LABEL),
        *FIELDS,
        "genres",
        pl.col("timestamp").cast(pl.Int64).alias(readers.TIME),
    )


def _load_users(path: pathlib.Path) -> pl.DataFrame:
    return pl.concat(
        delimited.parse(chunk, _USERS, separator="|") for chunk in text.chunks(path)
    ).select(
        *("user", "age", "gender", "occupation"),
        pl.col("zip").str.slice(0, 1).alias("zip_prefix"),
    )


def _load_films(folder: pathlib.Path) -> pl.DataFrame:
    names = {"name": "text", "number": "number"}
    genres = pl.concat(
        delimited.parse(_without_end_blank(chunk), names, separator="|")
        for chunk in text.chunks(folder / "u.genre")
    )["name"]
    columns = {**dict.fromkeys((*_FILM, *genres), "text")}
    films = pl.concat(
        delimited.parse(
            chunk._replace(text=chunk.text.decode("latin-1").encode()),
            *(columns,),
            separator="|",
            told="5 columns and a flag for each genre",
        )
        for chunk in text.chunks(folder / "u.item")
    )
    flags = [pl.when(pl.col(name) == "1").then(pl.lit(name)) for name in genres]
    return films.select(
        "item",
        pl.col("date").str.slice(-4).alias("release_year"),
        pl.concat_list(flags).list.drop_nulls().alias("genres"),
    )


def _without_end_blank(chunk: text.Chunk) -> text.Chunk:
    """The published u.genre ends in an empty line."""
    return chunk._replace(text=chunk.text.rstrip(b"\n") + b"\n")
