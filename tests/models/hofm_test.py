import itertools

import numpy as np
import pytest
import references
import samples

from afm_jax import models


def make(kind):
    """A small hofm with random parameters, and features."""
    features = samples.random_features(kind)
    model = models.make("hofm", **samples.data_hyperparameters(kind), embedding_dim=3)
    return model, samples.random_variables(model, features), features


@pytest.mark.parametrize("kind", samples.KINDS)
def test_equals_the_formula(kind):
    model, variables, features = make(kind)
    params = variables["params"]
    slot_fields = samples.slot_fields(kind)
    second, third = (
        references.embed_fields(
            params["embedding"]["table"][:, columns],
            features.ids,
            features.values,
            slot_fields,
        )
        for columns in (slice(0, 3), slice(3, 6))
    )
    expected = references.first_order(params["first_order"], features, slot_fields)
    expected += references.fm_pair_term(second)
    for b, row in enumerate(third):
        for i, j, m in itertools.combinations(range(len(row)), 3):
            expected[b] += np.sum(row[i] * row[j] * row[m])
    np.testing.assert_allclose(
        model.apply(variables, features), expected, rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize("kind", samples.KINDS)
def test_zero_vectors_of_order_3_leave_fm(kind):
    model, variables, features = make(kind)
    params = variables["params"]
    table = params["embedding"]["table"]
    table[:, 3:] = 0
    fm = models.make("fm", **samples.data_hyperparameters(kind), embedding_dim=3)
    fm_params = {**params, "embedding": {"table": table[:, :3]}}
    np.testing.assert_allclose(
        model.apply(variables, features),
        fm.apply({"params": fm_params}, features),
        rtol=1e-6,
        atol=1e-6,
    )


@pytest.mark.parametrize(
    ("vocab_size", "published"), [(5382, "2.76M"), (90445, "46.40M")]
)
def test_has_as_many_parameters_as_in_the_table_of_the_afm_paper(vocab_size, published):
    """Frappe and MovieLens, 256 dimensions (Xiao et al. 2017, table 2)."""
    model = models.make("hofm", vocab_size=vocab_size, embedding_dim=256)
    assert f"{samples.num_parameters(model) / 1e6:.2f}M" == published
