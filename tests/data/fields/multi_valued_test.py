import numpy as np
import pytest

pytest.importorskip("polars", reason="needs the extra 'data'")

from columns import block, coded, given

from afm_jax.data import fields, formats
from afm_jax.data.fields.codes import Many
from afm_jax.data.fields.multi_valued import MultiValued
from afm_jax.errors import InputError


def encoded(lists, train, values=(), min_count=1, max_slots=None):
    """Field, vocabulary, ids and values of lists, of which `train` are for training."""
    lengths = np.array([len(words) for words in lists], np.int32)
    words, codes = coded([word for words in lists for word in words])
    many = Many(lengths, codes, np.array(values, np.float32))
    rows = block(len(lists), many=(many,))
    counter = MultiValued(
        given("m", words=words, setting=max_slots, min_count=min_count)
    )
    counter.count(rows, np.array(train))
    fitted = counter.fit(10)
    field = fitted.field
    ids = np.full((len(lists), field.slots), -1, np.int32)
    weights = np.ones((len(lists), field.slots), np.float32)
    fitted.write(rows, ids, weights)
    return field, fitted.vocabulary.values.to_list(), ids.tolist(), weights.tolist()


def test_lists_fill_slots_and_the_rest_is_missing_with_value_0():
    lists = [["a", "b"], [], ["b"], ["c", "b", "a"]]
    field, vocabulary, ids, values = encoded(lists, [0, 1, 2])
    assert vocabulary == ["b", "a"]
    assert (field.slots, field.vocab_size, field.kind) == (2, 4, "multi_valued")
    # The last row is not of training: its first two items are kept, c is unseen.
    assert ids == [[13, 12], [10, 10], [12, 10], [11, 12]]
    assert values == [[1, 1], [1, 0], [1, 0], [1, 1]]


def test_the_first_items_of_a_list_are_kept_and_no_others_count():
    lists = [["a", "b", "c"], ["c", "b"], [], ["b", "a", "a"]]
    field, vocabulary, ids, values = encoded(lists, [0, 1, 2], max_slots=2)
    assert (field.slots, vocabulary) == (2, ["b", "a", "c"])
    assert ids == [[13, 12], [14, 12], [10, 10], [12, 13]]
    assert values == [[1, 1], [1, 1], [1, 0], [1, 1]]
    field, vocabulary, ids, _ = encoded(lists, [0, 1, 2], max_slots=1)
    assert (field.slots, field.kind, vocabulary) == (1, "categorical", ["a", "c"])
    assert ids == [[12], [13], [10], [11]]


def test_slots_are_never_more_than_the_longest_training_list_has_items():
    field, *_ = encoded([["a", "b"], ["a"] * 9], [0], max_slots=5)
    assert field.slots == 2


def warnings(caplog, lists, **options):
    caplog.clear()
    encoded(lists, range(len(lists)), **options)
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


def limits(layout, max_slots):
    """What --max_slots sets for each multi-valued column."""
    options = {option.name: option.default for option in fields.options()}
    chosen = fields.choose(layout, {**options, "max_slots": max_slots})
    return {
        name: choice.setting
        for name, choice in chosen.items()
        if choice.kind == "multi_valued"
    }


def test_max_slots_are_of_all_multi_valued_columns_or_of_one():
    kinds = {"c": "categorical", "m": "multi_valued", "n:x": "multi_valued"}
    layout = formats.Layout("", tuple(formats.Column(*item) for item in kinds.items()))
    assert limits(layout, []) == {"m": None, "n:x": None}
    assert limits(layout, ["n:x:4", "9"]) == {"m": 9, "n:x": 4}
    for setting, told in [
        ("0", "'0' for m, expected a whole number from 1 on"),
        ("m:2.5", "'2.5' for m"),
        ("-1", "'-1' for m"),
        ("c:3", "--max_slots=c:3: no multi_valued column 'c'; there are m, n:x"),
    ]:
        with pytest.raises(InputError, match=told):
            limits(layout, [setting])
    with pytest.raises(InputError, match="no multi_valued columns; there are none"):
        limits(formats.Layout("", ()), ["3"])


def test_lists_keep_their_values():
    lists = [["a", "b"], ["b"], []]
    _, _, _, values = encoded(lists, [0, 1, 2], values=[0.5, -2, 7])
    assert values == [[0.5, -2], [7, 0], [1, 0]]


def test_lists_of_one_item_at_most_are_a_categorical_column():
    field, _, ids, values = encoded([["a"], [], ["b"]], [0, 1])
    assert (field.slots, field.kind) == (1, "categorical")
    assert ids == [[12], [10], [11]]
    assert values == [[1], [1], [1]]


def test_lists_that_are_empty_in_every_training_row_are_an_error():
    with pytest.raises(InputError, match="'m' is missing in every training row"):
        encoded([[], ["a"]], [0])
