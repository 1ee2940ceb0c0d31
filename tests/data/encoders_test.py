import numpy as np
import pytest

pytest.importorskip("polars", reason="needs the extra 'data'")

import polars as pl

from afm_jax.errors import InputError
from data import encoders, readers, spill


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
    crcs = {encoders.Vocabulary(pl.Series(values), None).crc32 for values in series}
    assert len(crcs) == 5


def multi_valued(lists, train, values=(), min_count=1, max_slots=None):
    dictionary, codes = coded([word for words in lists for word in words])
    lengths = np.array([len(words) for words in lists], np.int32)
    many = spill.Many(lengths, codes, np.array(values, np.float32))
    encoder = encoders.MultiValued("m", 0, dictionary, max_slots)
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


def test_the_first_items_of_a_list_are_kept_and_no_others_count():
    lists = [["a", "b", "c"], ["c", "b"], [], ["b", "a", "a"]]
    field, vocabulary, ids, values = multi_valued(lists, [0, 1, 2], max_slots=2)
    assert (field.slots, vocabulary) == (2, ["b", "a", "c"])
    assert ids == [[13, 12], [14, 12], [10, 10], [12, 13]]
    assert values == [[1, 1], [1, 1], [1, 0], [1, 1]]
    field, vocabulary, ids, _ = multi_valued(lists, [0, 1, 2], max_slots=1)
    assert (field.slots, field.kind, vocabulary) == (1, "categorical", ["a", "c"])
    assert ids == [[12], [13], [10], [11]]


def test_slots_are_never_more_than_the_longest_training_list_has_items():
    field, *_ = multi_valued([["a", "b"], ["a"] * 9], [0], max_slots=5)
    assert field.slots == 2


def warnings(caplog, lists, **options):
    caplog.clear()
    multi_valued(lists, range(len(lists)), **options)
    return [record.getMessage() for record in caplog.records]


def test_a_list_far_longer_than_most_is_told(caplog):
    lists = [["a"] * 3] * 99 + [["b"] * 300]
    (line,) = warnings(caplog, lists)
    assert "Column 'm': the longest training list has 300 items, and 9 of 10" in line
    assert "at most 3. Every row takes 300 slots" in line
    assert "--max_slots=m:N" in line
    assert warnings(caplog, lists, max_slots=20) == []


@pytest.mark.parametrize("longest", [20, 32, 60])
def test_lists_of_like_lengths_are_not_told(caplog, longest):
    lists = [["a"] * (1 + i * longest // 100) for i in range(100)]
    assert warnings(caplog, lists) == []
    assert warnings(caplog, [["a"]] * 99 + [["b"] * 32]) == []


def test_max_slots_are_of_all_multi_valued_columns_or_of_one():
    kinds = {"c": "categorical", "m": "multi_valued", "n:x": "multi_valued"}
    layout = readers.Layout("", tuple(readers.Column(*item) for item in kinds.items()))
    assert encoders.slot_limits(layout, []) == {}
    assert encoders.slot_limits(layout, ["n:x:4", "9"]) == {"m": 9, "n:x": 4}
    for given, told in [
        ("0", "'0' for m, expected a whole number from 1 on"),
        ("m:2.5", "'2.5' for m"),
        ("-1", "'-1' for m"),
        ("c:3", "--max_slots=c:3: no multi_valued column 'c'; there are m, n:x"),
    ]:
        with pytest.raises(InputError, match=told):
            encoders.slot_limits(layout, [given])
    with pytest.raises(InputError, match="no multi_valued columns; there are none"):
        encoders.slot_limits(readers.Layout("", ()), ["3"])


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
