import numpy as np
import pytest
from sklearn import linear_model, metrics

from afm_jax.data import synthetic
from afm_jax.data.synthetic import planted
from afm_jax.features import MISSING, UNSEEN

ROWS = {"train": 20_000, "validation": 3_000, "test": 2_000}


@pytest.fixture(scope="module")
def store():
    return synthetic.make(3, rows=ROWS, min_count=5)


@pytest.fixture(scope="module")
def raw():
    chunks = planted.draw(synthetic.plant(3), 40_000, 3, "train")
    return planted.RawRows(
        *(np.concatenate(c, axis=-1) for c in zip(*chunks, strict=True))
    )


def test_rows_have_the_shapes_and_types_of_the_schema(store):
    assert store.schema.dataset == "synthetic"
    assert len(store.schema.fields) == 26
    assert len(store.schema.dense) == 13
    assert store.schema.rows == ROWS
    for split, rows in store.splits.items():
        assert (rows.ids.shape, rows.ids.dtype) == ((ROWS[split], 26), np.int32)
        assert (rows.dense.shape, rows.dense.dtype) == ((ROWS[split], 13), np.float32)
        assert (rows.labels.shape, rows.labels.dtype) == ((ROWS[split],), np.float32)
        assert rows.values is None
        assert store.probabilities[split].dtype == np.float64
        assert len(store.probabilities[split]) == ROWS[split]


def test_ids_are_in_the_range_of_their_field(store):
    for rows in store.splits.values():
        for column, field in zip(rows.ids.T, store.schema.fields, strict=True):
            assert column.min() >= field.offset
            assert column.max() < field.offset + field.vocab_size


def test_the_same_seed_gives_the_same_data_and_another_seed_other_data(store):
    again = synthetic.make(3, rows=ROWS, min_count=5)
    assert again.schema == store.schema
    for split, rows in store.splits.items():
        for column, other in zip(rows, again.splits[split], strict=True):
            np.testing.assert_array_equal(column, other)
    other = synthetic.make(4, rows=ROWS, min_count=5)
    assert other.schema.difference(store.schema)
    assert synthetic.plant(4).pairs != synthetic.plant(3).pairs


def test_fewer_rows_are_the_first_of_more(store):
    fewer = synthetic.make(3, rows={**ROWS, "validation": 1_000}, min_count=5)
    np.testing.assert_array_equal(
        fewer.splits["validation"].ids, store.splits["validation"].ids[:1_000]
    )


def test_vocabulary_is_fitted_on_the_training_split_alone(store):
    train, test = store.splits["train"].ids, store.splits["test"].ids
    for column, other, field in zip(train.T, test.T, store.schema.fields, strict=True):
        counts = np.bincount(column - field.offset, minlength=field.vocab_size)
        # Every value with an id of its own is frequent enough, and ids go by count.
        assert counts[2:].min() >= 5
        assert (np.diff(counts[2:]) <= 0).all()
        assert (counts[other - field.offset][other - field.offset > UNSEEN] > 0).all()
    rare = [
        np.mean(column == field.offset + UNSEEN)
        for column, field in zip(test.T, store.schema.fields, strict=True)
    ]
    assert max(rare) > 0.05


def test_values_are_missing_as_often_as_planted(store):
    offsets = np.array([field.offset for field in store.schema.fields])
    share = np.mean(store.splits["train"].ids == offsets + MISSING, axis=0)
    expected = synthetic.plant(3).missing
    assert expected.max() > 0.05
    np.testing.assert_allclose(share, expected, atol=0.012)


def test_dense_columns_are_standardised_on_the_training_split(store):
    for split, tolerance in (("train", 1e-4), ("test", 0.15)):
        dense = store.splits[split].dense
        known = np.where(dense == 0, np.nan, dense)
        np.testing.assert_allclose(np.nanmean(known, 0), 0, atol=tolerance)
        np.testing.assert_allclose(np.nanstd(known, 0), 1, atol=tolerance)
        np.testing.assert_allclose(np.mean(dense == 0, 0), 0.15, atol=0.03)


def test_labels_follow_the_probabilities(store):
    labels, chances = store.splits["train"].labels, store.probabilities["train"]
    for low in np.arange(0, 1, 0.2):
        inside = (chances >= low) & (chances < low + 0.2)
        deviation = np.sqrt(0.25 / inside.sum())
        assert abs(labels[inside].mean() - chances[inside].mean()) < 4 * deviation


def test_logit_is_the_sum_of_the_planted_effects(raw):
    truth = synthetic.plant(3)
    for row in range(20):
        values = raw.categories[:, row]
        total = truth.bias + sum(
            effects[value]
            for effects, value in zip(truth.first_order, values, strict=True)
        )
        for column, number in enumerate(raw.numbers[:, row]):
            if number >= 0:
                z = (np.log(1 + number) - 2) / truth.scales[column]
                total += truth.dense[column] * z
        for p, (i, j) in enumerate(truth.pairs):
            product = truth.left[p][values[i]] @ truth.right[p][values[j]]
            total += truth.strengths[p] * product
        assert raw.probabilities[row] == pytest.approx(1 / (1 + np.exp(-total)))


def test_a_pair_adds_its_strength_in_standard_deviations(raw):
    truth = synthetic.plant(3)
    for p, (i, j) in enumerate(truth.pairs):
        left, right = (
            truth.left[p][raw.categories[i]],
            truth.right[p][raw.categories[j]],
        )
        products = (left * right).sum(1)
        assert products.mean() == pytest.approx(0, abs=0.05)
        assert products.std() == pytest.approx(1, abs=0.1)


def test_pairs_are_needed_for_the_best_auc(raw):
    truth = synthetic.plant(3)
    first = planted.logits(truth, raw.categories, raw.numbers, interactions=False)
    best = metrics.roc_auc_score(raw.labels, raw.probabilities)
    assert 0.82 < best < 0.86
    assert 0.72 < metrics.roc_auc_score(raw.labels, first) < best - 0.08


def test_criteo_file_holds_the_rows_of_the_store(store, tmp_path):
    path = tmp_path / "rows.tsv"
    synthetic.write_criteo_tsv(path, ROWS["train"], seed=3)
    cells = [line.split("\t") for line in path.read_text("ascii").splitlines()]
    table = np.array(cells)
    assert table.shape == (ROWS["train"], 40)
    rows = store.splits["train"]
    np.testing.assert_array_equal(table[:, 0].astype(np.float32), rows.labels)
    for index, column in enumerate(store.schema.dense):
        text = table[:, 1 + index]
        known = text != ""
        z = (np.log1p(text[known].astype(float)) - column.mean) / column.std
        np.testing.assert_allclose(rows.dense[known, index], z, rtol=1e-4, atol=1e-6)
        assert not rows.dense[~known, index].any()
    for index, field in enumerate(store.schema.fields):
        text = table[:, 14 + index]
        ids = rows.ids[:, index] - field.offset
        assert ((text == "") == (ids == MISSING)).all()
        # One text for one id, and one id for one text, rare values aside.
        own = ids > UNSEEN
        names = {
            (name, number) for name, number in zip(text[own], ids[own], strict=True)
        }
        assert len(names) == len(set(text[own])) == len(set(ids[own]))


def test_names_of_values_are_distinct_over_all_fields():
    names = np.concatenate(
        [
            synthetic.encoded.value_names(field)[1:]
            for field in range(len(planted.VOCAB_SIZES))
        ]
    )
    assert len(np.unique(names)) == sum(planted.VOCAB_SIZES)


def test_a_first_order_model_learns_the_first_order_part(store):
    rows, test = store.splits["train"], store.splits["test"]
    model = linear_model.LogisticRegression(max_iter=200)
    model.fit(rows.dense, rows.labels)
    truth = synthetic.plant(3).dense
    assert np.corrcoef(model.coef_[0], truth)[0, 1] > 0.97
    auc = metrics.roc_auc_score(test.labels, model.decision_function(test.dense))
    assert auc > 0.6
