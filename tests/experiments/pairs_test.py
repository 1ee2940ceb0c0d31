"""Which pairs a model attends to, and whether they are the planted ones."""

import jax.numpy as jnp
import numpy as np
import programs
import pytest
import samples

from afm_jax import models
from afm_jax.data.synthetic import planted
from afm_jax.errors import InputError
from afm_jax.features import Batch
from afm_jax.modules import pair_attention
from afm_jax.ops import interactions
from experiments import pairs, train


def test_scores_of_the_planted_pairs_find_them():
    strengths = np.array([0.0, 0.9, 0.0, 0.3, 0.0, 0.0])
    found = pairs.agreement(strengths * 2, strengths)
    assert found["rank_correlation"] == pytest.approx(1.0)
    assert (found["precision"], found["chance"]) == (1.0, 2 / 6)
    half = pairs.agreement(np.array([5.0, 4.0, 1.0, 3.0, 2.0, 0.0]), strengths)
    assert half["precision"] == 0.5
    assert 0 < half["rank_correlation"] < 1
    assert pairs.agreement(np.full(6, 0.2), strengths)["rank_correlation"] is None


def test_strengths_stand_at_their_pairs():
    schema = programs.small_store().schema
    strengths = pairs.planted_strengths(schema)
    truth = planted.plant(schema.options["seed"])
    first, second = interactions.pair_indices(len(schema.fields))
    there = np.flatnonzero(strengths)
    found = {(int(first[p]), int(second[p])): strengths[p] for p in there}
    assert found == dict(zip(truth.pairs, truth.strengths, strict=True))


def test_statistics_are_over_all_rows_and_no_padding():
    features = samples.random_features("plain", num_rows=7)
    model = models.make("afm", **samples.data_hyperparameters("plain"))
    variables = samples.random_variables(model, features)
    batches = []
    for rows in ([0, 1, 2, 3], [4, 5, 6, 6]):
        part = features._replace(ids=features.ids[rows], dense=features.dense[rows])
        weights = np.array([1, 1, 1, rows[3] != 6], np.float32)
        batches.append(Batch(part, np.zeros(4, np.float32), weights))
    attention, contribution = pairs.over_rows(model, variables, batches)
    whole = pair_attention.pair_attention(model, variables, features)
    np.testing.assert_allclose(attention, jnp.mean(whole.weights, axis=0), rtol=1e-5)
    np.testing.assert_allclose(
        contribution, jnp.std(whole.contributions, axis=0), rtol=1e-3, atol=1e-5
    )


def test_a_run_on_planted_data_is_compared_with_the_truth(tmp_path, capsys):
    flags = (f"--workdir={tmp_path}", "--epochs=1", "--batch_size=100")
    programs.run(train, "--model=afm", "--set=embedding_dim=4", *flags)
    found = programs.run(pairs, f"--workdir={tmp_path}", "--top=3")
    assert len(found["pairs"]) == 3
    contributions = [pair["contribution"] for pair in found["pairs"]]
    assert contributions == sorted(contributions, reverse=True)
    for name in ("attention", "contribution"):
        assert 0 <= found[name]["precision"] <= 1
        assert -1 <= found[name]["rank_correlation"] <= 1
    table = capsys.readouterr().err
    assert " x ".join(found["pairs"][0]["fields"]) in table


def test_a_model_without_attention_is_a_mistake(tmp_path):
    flags = (f"--workdir={tmp_path}", "--epochs=1", "--batch_size=100")
    programs.run(train, "--model=lr", *flags)
    with pytest.raises(InputError, match="lr has no attention pooling"):
        programs.run(pairs, f"--workdir={tmp_path}")
    with pytest.raises(InputError, match="has no split 'tset'"):
        programs.run(pairs, f"--workdir={tmp_path}", "--split=tset")
