"""Numbers in words."""

import numpy as np
import pytest

from experiments.cli import words


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0.4, "0 s"), (99, "99 s"), (100, "2 min"), (5999, "100 min"), (9000, "2.5 h")],
)
def test_a_duration_has_the_unit_that_reads_best(seconds, told):
    assert words.duration(seconds) == told


def test_one_is_not_many():
    assert words.count(1, "row") == "1 row"
    assert words.count(25_000, "row") == "25,000 rows"


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        ([0, 1, 1, 0], "4 rows, 2 positive (50%)"),
        ([0, 0], "2 rows, 0 positive (0%)"),
        ([0.5, 1], "2 rows, mean label 0.75"),
        ([-3, 5.5], "2 rows, mean label 1.25"),
    ],
)
def test_labels_of_two_classes_are_counted_and_others_are_averaged(labels, told):
    assert words.labels(np.array(labels, np.float32)) == told
