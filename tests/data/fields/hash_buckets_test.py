import numpy as np
import pytest

pytest.importorskip("polars", reason="needs the extra 'data'")

import polars as pl
from columns import block, given, ids_of

from afm_jax.data import fields, formats
from afm_jax.data.fields.hash_buckets import HashBuckets, HashCoder, fnv1a
from afm_jax.errors import InputError

WORDS = ["a", "", "foobar", "é" * 9, "a", "x" * 300, "user-17"]


def slow_fnv1a(word):
    found = 0xCBF29CE484222325
    for byte in word.encode():
        found = (found ^ byte) * 0x100000001B3 % 2**64
    return found


def test_the_hash_is_fnv1a_of_64_bits():
    found = fnv1a(pl.Series(WORDS)).tolist()
    assert found == [slow_fnv1a(word) for word in WORDS]
    # The test vectors of the algorithm's authors.
    assert found[0] == 0xAF63DC4C8601EC8C
    assert found[2] == 0x85944171F73967E8
    assert fnv1a(pl.Series(dtype=pl.String)).tolist() == []


def coded(words, buckets):
    frame = pl.DataFrame({"c": pl.Series(words, dtype=pl.String)}).lazy()
    return frame.select(HashCoder(buckets).codes(pl.col("c"))).collect()["c"].to_numpy()


def test_ids_are_missing_then_buckets_and_no_value_is_unseen():
    words = [*WORDS, None, "not of training"]
    counter = HashBuckets(given("c", setting=5))
    rows = block(9, codes=coded(words, 5))
    counter.count(rows, np.arange(2))
    fitted = counter.fit(100)
    field = fitted.field
    assert (field.kind, field.vocab_size, field.offset) == ("hash_buckets", 2 + 5, 100)
    assert ids_of(fitted, rows) == [
        100 if word is None else 102 + slow_fnv1a(word) % 5 for word in words
    ]
    assert fitted.unseen(rows) is None


def test_the_values_of_missing_features_are_1():
    counter = HashBuckets(given("c", setting=5))
    rows = block(3, codes=coded(["a", None, "b"], 5), values=[0.5, 0.25, 3])
    counter.count(rows, np.arange(3))
    fitted = counter.fit(0)
    ids, values = np.zeros((3, 1), np.int32), np.ones((3, 1), np.float32)
    fitted.write(rows, ids, values)
    assert values[:, 0].tolist() == [0.5, 1, 3]


def test_a_column_without_training_values_is_an_error():
    counter = HashBuckets(given("city", setting=5))
    counter.count(block(3, codes=coded([None, None, "a"], 5)), np.arange(2))
    with pytest.raises(InputError, match="'city' is missing in every training row"):
        counter.fit(0)


LAYOUT = formats.Layout(
    "",
    (
        formats.Column("n", "numeric"),
        formats.Column("c", "categorical"),
        formats.Column("x:y", "categorical"),
    ),
)


def chosen(*hash_buckets):
    options = {option.name: option.default for option in fields.options()}
    return fields.choose(LAYOUT, {**options, "hash_buckets": hash_buckets})


def test_buckets_are_of_all_categorical_columns_or_of_one():
    assert chosen()["c"] == fields.Choice("categorical")
    assert chosen("x:y:7")["c"] == fields.Choice("categorical")
    assert chosen("9", "x:y:7") == {
        "n": fields.Choice("dense"),
        "c": fields.Choice("hash_buckets", 9),
        "x:y": fields.Choice("hash_buckets", 7),
    }


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("c:0", "'0' for c, expected a whole number from 1 to 1,073,741,824"),
        ("c:2.5", "'2.5' for c"),
        ("c:2000000000", "'2000000000' for c"),
        ("n:5", "no categorical column 'n'; there are c, x:y"),
    ],
)
def test_settings_that_mean_nothing_are_refused(setting, told):
    with pytest.raises(InputError, match=told):
        chosen(setting)
