"""The note's models in PyTorch compute what ours do; where PyTorch is at hand."""

import jax
import numpy as np
import pytest

from afm_jax import models
from afm_jax.features import Features
from experiments.benchmark.peers import suite

torch = pytest.importorskip("torch")

from experiments.benchmark.peers import note  # noqa: E402


@pytest.mark.parametrize("name", ["afm", "afm_deep"])
def test_given_the_same_parameters_the_logits_are_ours(name):
    rng = np.random.default_rng(0)
    settings = {**suite._SETTINGS["note"][name], "embedding_dim": 4}
    if name == "afm_deep":
        settings["hidden_dims"] = (7, 5)
    model = models.make(name, vocab_size=60, **settings)
    ids = rng.integers(0, 60, (9, 6), np.int32)
    features = Features(ids, None, rng.standard_normal((9, 3), np.float32))
    shapes = jax.eval_shape(model.init, jax.random.key(0), features)["params"]
    params = jax.tree.map(
        lambda leaf: rng.standard_normal(leaf.shape, np.float32), shapes
    )
    hidden_dims = settings.get("hidden_dims", ())
    theirs = note.AFM(60, 6, 3, 4, settings["attention_dim"], hidden_dims)
    first_order, attention = params["first_order"], params["attention"]
    state = {
        "linear.weight": first_order["kernel"].T,
        "linear.bias": first_order["bias"],
        "embedding.weight": params["embedding"]["table"],
        "pooling.attention.weight": attention["kernel"].T,
        "pooling.attention.bias": attention["bias"],
        "pooling.query.weight": attention["query"][None],
    }
    for i in range(len(hidden_dims)):
        layer = params["mlp"][f"hidden_{i}"]
        state[f"deep.{2 * i}.weight"] = layer["kernel"].T
        state[f"deep.{2 * i}.bias"] = layer["bias"]
    state[f"deep.{2 * len(hidden_dims)}.weight"] = params["output"]["kernel"].T
    tensors = {key: torch.tensor(np.array(value)) for key, value in state.items()}
    missing, unexpected = theirs.load_state_dict(tensors, strict=False)
    assert set(missing) == {"pooling.first", "pooling.second"}
    assert not unexpected
    found = theirs(torch.tensor(ids.astype(np.int64)), torch.tensor(features.dense))
    expected = model.apply({"params": params}, features)
    np.testing.assert_allclose(found.detach().numpy(), expected, rtol=1e-4, atol=1e-4)
