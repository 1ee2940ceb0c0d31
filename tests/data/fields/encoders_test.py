import numpy as np
import pytest

pytest.importorskip("polars", reason="needs the extra 'data'")

import polars as pl

from afm_jax.data.fields import encoders
from afm_jax.data.fields.codes import Block, Dictionary
from afm_jax.errors import InputError


def coded(words):
    """A dictionary that has met the words, and their codes."""
    dictionary = Dictionary()
    series = pl.Series("w", words, dtype=pl.String)
    codes = series.to_frame().select(dictionary.codes(pl.col("w")))["w"]
    return dictionary, codes.to_numpy()


def block(rows, codes=None, values=()):
    codes = np.zeros((0, rows), np.uint32) if codes is None else codes[None]
    return Block(
        times=np.zeros(0),
        labels=np.zeros(rows, np.float32),
        numbers=np.zeros((0, rows)),
        codes=codes,
        values=np.array([values], np.float32) if len(values) else np.zeros(0),
        many=(),
    )


def test_ids_are_missing_then_unseen_then_values_by_count_and_name():
    words = ["b", "c", "a", None, "c", "a", "rare", "later", None]
    dictionary, codes = coded(words)
    encoder = encoders.Categorical("w", 0, dictionary)
    rows = block(9, codes)
    encoder.count(rows, np.arange(5))
    encoder.count(rows, np.array([5, 6, 0]))
    # Of training: a 2, b 2, c 2, rare 1; "later" is of another split.
    field = encoder.fit(100, 2)
    assert encoder.vocabulary.values.to_list() == ["a", "b", "c"]
    assert encoder.vocabulary.counts.to_list() == [2, 2, 2]
    assert (field.vocab_size, field.offset, field.kind) == (5, 100, "categorical")
    ids = np.zeros((9, 1), np.int32)
    encoder.write(rows, ids, None)
    assert ids[:, 0].tolist() == [103, 104, 102, 100, 104, 102, 101, 101, 100]


def test_a_more_frequent_value_has_a_smaller_id():
    dictionary, codes = coded(["x"] * 2 + ["z"] * 5 + ["y"] * 3)
    encoder = encoders.Categorical("w", 0, dictionary)
    encoder.count(block(10, codes), np.arange(10))
    encoder.fit(0, 1)
    assert encoder.vocabulary.values.to_list() == ["z", "y", "x"]


def test_the_values_of_missing_features_are_1():
    dictionary, codes = coded(["a", None, "b"])
    encoder = encoders.Categorical("w", 0, dictionary)
    rows = block(3, codes, values=[0.5, 0.25, 3])
    encoder.count(rows, np.arange(2))
    encoder.fit(0, 1)
    ids, values = np.zeros((3, 1), np.int32), np.ones((3, 1), np.float32)
    encoder.write(rows, ids, values)
    assert values[:, 0].tolist() == [0.5, 1, 3]


def test_the_vocabulary_checksum_tells_values_and_their_order_apart():
    series = [["a", "b"], ["b", "a"], ["ab"], ["ab", ""], ["a", "c"]]
    crcs = {
        encoders.Vocabulary(pl.Series(values), None, None).crc32 for values in series
    }
    assert len(crcs) == 5


def test_a_whole_number_in_two_forms_is_told(caplog):
    for words, told in [
        (["3", "4", "3.0", "-7.0", "-7"], "both '3' and '3.0', and 1 other"),
        (["3", "4.0", "v3.0", "v3", "3.5", "03"], None),
    ]:
        caplog.clear()
        encoders.Categorical("w", 0, coded(words)[0])
        assert [told in record.getMessage() for record in caplog.records] == (
            [True] if told else []
        )


def test_a_column_without_training_values_is_an_error():
    dictionary, codes = coded([None, None, "a"])
    encoder = encoders.Categorical("city", 0, dictionary)
    encoder.count(block(3, codes), np.arange(2))
    with pytest.raises(InputError, match="'city' is missing in every training row"):
        encoder.fit(0, 1)
