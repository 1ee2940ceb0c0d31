"""MovieLens-100K: 100,000 ratings of films, with users, films and genres."""

import pathlib

from afm_jax.data.formats.sources import SourceFile
from afm_jax.data.preparation.raw_builder import RawBuilder
from data.movielens_100k import movielens_100k_reader


class Builder(RawBuilder):
    """Whether a user rates a film 4 or 5."""

    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "The folder ml-100k of GroupLens with u.data, u.user, u.item and u.genre."
    )
    reader = movielens_100k_reader

    def files(
        self, source: pathlib.Path, *, to_split: bool, fitted: bool
    ) -> list[SourceFile]:
        """The file of ratings; the other files in the folder are looked up by row."""
        split = "test" if fitted and not to_split else None
        return [SourceFile(path, split) for path in movielens_100k_reader.files(source)]
