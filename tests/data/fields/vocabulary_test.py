import pytest

pytest.importorskip("polars", reason="needs the extra 'data'")

import polars as pl

from afm_jax.data.fields.vocabulary import Vocabulary, extend_strings
from afm_jax.features import Field


def test_the_vocabulary_checksum_tells_values_and_their_order_apart():
    series = [["a", "b"], ["b", "a"], ["ab"], ["ab", ""], ["a", "c"]]
    crcs = {Vocabulary(pl.Series(values), None, None).crc32 for values in series}
    assert len(crcs) == 5


def test_new_values_take_numbers_behind_those_that_have_one():
    field = Field("c", "categorical", vocab_size=4, offset=10)
    known = Vocabulary(pl.Series(["b", "a"]), pl.Series([5, 3]), pl.Series(["r", "s"]))
    coded = extend_strings(field, known, pl.Series(["z", "a", "s", "k", "b"]))
    assert coded.ids.tolist() == [10, 11, 13, 11, 11, 12]
    assert coded.numbers.tolist() == [0, 4 + 3, 0, 4 + 1, 4 + 2, 0]
    assert coded.vocabulary.others.to_list() == ["r", "s", "k", "z"]
    assert coded.vocabulary.crc32 == known.crc32
