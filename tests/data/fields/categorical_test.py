import numpy as np
import pytest

pytest.importorskip("polars", reason="needs the extra 'data'")

from columns import block, coded, given, ids_of

from afm_jax.data.fields.categorical import Categorical
from afm_jax.errors import InputError


def test_ids_are_missing_then_unseen_then_values_by_count_and_name():
    words = ["b", "c", "a", None, "c", "a", "rare", "later", None]
    words, codes = coded(words)
    counter = Categorical(given(words=words, min_count=2))
    rows = block(9, codes=codes)
    counter.count(rows, np.arange(5))
    counter.count(rows, np.array([5, 6, 0]))
    # Of training: a 2, b 2, c 2, rare 1; "later" is of another split.
    fitted = counter.fit(100)
    field = fitted.field
    assert fitted.vocabulary.values.to_list() == ["a", "b", "c"]
    assert fitted.vocabulary.counts.to_list() == [2, 2, 2]
    assert (field.vocab_size, field.offset, field.kind) == (5, 100, "categorical")
    assert ids_of(fitted, rows) == [103, 104, 102, 100, 104, 102, 101, 101, 100]


def test_a_more_frequent_value_has_a_smaller_id():
    words, codes = coded(["x"] * 2 + ["z"] * 5 + ["y"] * 3)
    counter = Categorical(given(words=words))
    counter.count(block(10, codes=codes), np.arange(10))
    fitted = counter.fit(0)
    assert fitted.vocabulary.values.to_list() == ["z", "y", "x"]


def test_the_values_of_missing_features_are_1():
    words, codes = coded(["a", None, "b"])
    counter = Categorical(given(words=words))
    rows = block(3, codes=codes, values=[0.5, 0.25, 3])
    counter.count(rows, np.arange(2))
    fitted = counter.fit(0)
    ids, values = np.zeros((3, 1), np.int32), np.ones((3, 1), np.float32)
    fitted.write(rows, ids, values)
    assert values[:, 0].tolist() == [0.5, 1, 3]


def test_a_whole_number_in_two_forms_is_told(caplog):
    for words, told in [
        (["3", "4", "3.0", "-7.0", "-7"], "both '3' and '3.0', and 1 other"),
        (["3", "4.0", "v3.0", "v3", "3.5", "03"], None),
    ]:
        caplog.clear()
        Categorical(given(words=coded(words)[0]))
        assert [told in record.getMessage() for record in caplog.records] == (
            [True] if told else []
        )


def test_a_column_without_training_values_is_an_error():
    words, codes = coded([None, None, "a"])
    counter = Categorical(given("city", words=words))
    counter.count(block(3, codes=codes), np.arange(2))
    with pytest.raises(InputError, match="'city' is missing in every training row"):
        counter.fit(0)
