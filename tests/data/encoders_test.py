import numpy as np
import pytest

pytest.importorskip("polars", reason="needs the extra 'data'")

import polars as pl

from afm_jax.errors import InputError
from data import encoders, spill


def coded(words):
    """A dictionary that has met the words, and their codes."""
    dictionary = spill.Dictionary()
    series = pl.Series("w", words, dtype=pl.String)
    codes = series.to_frame().select(dictionary.codes(pl.col("w")))["w"]
    return dictionary, codes.to_numpy()


def block(rows, codes=None, values=(), many=()):
    codes = np.zeros((0, rows), np.uint32) if codes is None else codes[None]
    return spill.Block(
        times=np.zeros(0),
        labels=np.zeros(rows, np.float32),
        numbers=np.zeros((0, rows)),
        codes=codes,
        values=np.array([values], np.float32) if len(values) else np.zeros(0),
        many=many,
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


def multi_valued(lists, train, values=(), min_count=1):
    dictionary, codes = coded([word for words in lists for word in words])
    lengths = np.array([len(words) for words in lists], np.int32)
    many = spill.Many(lengths, codes, np.array(values, np.float32))
    encoder = encoders.MultiValued("m", 0, dictionary)
    rows = block(len(lists), many=(many,))
    encoder.count(rows, np.array(train))
    field = encoder.fit(10, min_count)
    ids = np.full((len(lists), field.slots), -1, np.int32)
    given = np.ones((len(lists), field.slots), np.float32)
    encoder.write(rows, ids, given)
    return field, encoder.vocabulary.values.to_list(), ids.tolist(), given.tolist()


def test_lists_fill_slots_and_the_rest_is_missing_with_value_0():
    lists = [["a", "b"], [], ["b"], ["c", "b", "a"]]
    field, vocabulary, ids, values = multi_valued(lists, [0, 1, 2])
    assert vocabulary == ["b", "a"]
    assert (field.slots, field.vocab_size, field.kind) == (2, 4, "multi_valued")
    # The last row is not of training: its first two items are kept, c is unseen.
    assert ids == [[13, 12], [10, 10], [12, 10], [11, 12]]
    assert values == [[1, 1], [1, 0], [1, 0], [1, 1]]


def test_lists_keep_their_values():
    lists = [["a", "b"], ["b"], []]
    _, _, _, values = multi_valued(lists, [0, 1, 2], values=[0.5, -2, 7])
    assert values == [[0.5, -2], [7, 0], [1, 0]]


def test_lists_of_one_item_at_most_are_a_categorical_column():
    field, _, ids, values = multi_valued([["a"], [], ["b"]], [0, 1])
    assert (field.slots, field.kind) == (1, "categorical")
    assert ids == [[12], [10], [11]]
    assert values == [[1], [1], [1]]


def test_a_column_without_training_values_is_an_error():
    dictionary, codes = coded([None, None, "a"])
    encoder = encoders.Categorical("city", 0, dictionary)
    encoder.count(block(3, codes), np.arange(2))
    with pytest.raises(InputError, match="'city' is missing in every training row"):
        encoder.fit(0, 1)
    with pytest.raises(InputError, match="'m' is missing in every training row"):
        multi_valued([[], ["a"]], [0])
