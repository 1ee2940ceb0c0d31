import pytest

pytest.importorskip("polars", reason="needs the extra 'data'")

import polars as pl

from afm_jax.data.fields.vocabulary import Vocabulary


def test_the_vocabulary_checksum_tells_values_and_their_order_apart():
    series = [["a", "b"], ["b", "a"], ["ab"], ["ab", ""], ["a", "c"]]
    crcs = {Vocabulary(pl.Series(values), None, None).crc32 for values in series}
    assert len(crcs) == 5
