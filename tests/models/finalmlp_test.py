import jax
import numpy as np
import pytest
import references
import samples

from afm_jax import errors, models


def make(kind, **hyperparameters):
    """A small finalmlp with random parameters, and features."""
    features = samples.random_features(kind)
    model = models.make(
        "finalmlp",
        **samples.data_hyperparameters(kind),
        **{
            "embedding_dim": 3,
            "first_hidden_dims": (7, 4),
            "second_hidden_dims": (5, 6),
            "gate_hidden_dims": (8,),
            "num_heads": 2,
        }
        | hyperparameters,
    )
    return model, samples.random_variables(model, features)["params"], features


def gated(params, vectors, inputs, fields):
    if fields:
        context = np.array([[x for i in fields for x in row[i]] for row in vectors])
        hidden = references.mlp(params["mlp"], context)
        gate = references.linear(params["output"], hidden)
    else:
        gate = params["bias"].astype(np.float64)
    return inputs * 2 / (1 + np.exp(-gate))


def fused(kernel, first, second):
    heads = len(kernel)
    logits = np.zeros(len(first))
    for b in range(len(first)):
        parts = zip(
            np.split(first[b], heads), np.split(second[b], heads), kernel, strict=True
        )
        logits[b] = sum(x @ matrix.astype(np.float64) @ y for x, y, matrix in parts)
    return logits


@pytest.mark.parametrize("kind", samples.KINDS)
@pytest.mark.parametrize("num_heads", [1, 2])
@pytest.mark.parametrize("fields", [((), ()), ((0,), (3, 1))])
def test_equals_the_formula(kind, num_heads, fields):
    model, params, features = make(
        kind,
        num_heads=num_heads,
        first_gate_fields=fields[0],
        second_gate_fields=fields[1],
    )
    table, slot_fields = params["embedding"]["table"], samples.slot_fields(kind)
    vectors = references.embed_fields(table, features.ids, features.values, slot_fields)
    inputs = references.flat_inputs(table, features, slot_fields)
    first, second = (
        references.mlp(
            params[f"{stream}_mlp"],
            gated(params[f"{stream}_gate"], vectors, inputs, context),
        )
        for stream, context in zip(("first", "second"), fields, strict=True)
    )
    both = np.concatenate([first, second], axis=1)
    np.testing.assert_allclose(
        model.apply({"params": params}, features),
        references.linear(params["output"], both)[:, 0]
        + fused(params["fusion"], first, second),
        rtol=1e-5,
        atol=1e-5,
    )


def test_open_gates_without_fusion_leave_two_dnns():
    model, params, features = make("full")
    for stream in ("first", "second"):
        params[f"{stream}_gate"] = jax.tree.map(np.zeros_like, params[f"{stream}_gate"])
    params["fusion"] = np.zeros_like(params["fusion"])
    total = -params["output"]["bias"]
    slices = {"first": slice(0, 4), "second": slice(4, 10)}
    for stream, hidden_dims in (("first", (7, 4)), ("second", (5, 6))):
        dnn = models.make(
            "dnn",
            **samples.data_hyperparameters("full"),
            embedding_dim=3,
            hidden_dims=hidden_dims,
        )
        kernel = params["output"]["kernel"][slices[stream]]
        dnn_params = {
            "embedding": params["embedding"],
            "mlp": params[f"{stream}_mlp"],
            "output": params["output"] | {"kernel": kernel},
        }
        total = total + dnn.apply({"params": dnn_params}, features)
    np.testing.assert_allclose(
        model.apply({"params": params}, features), total, rtol=1e-5, atol=1e-5
    )


def test_gates_start_near_the_identity_and_learn():
    model, _, features = make("plain", first_gate_fields=(0,))
    params = samples.initial_variables(model, features)["params"]
    params["embedding"]["table"] = samples.random_variables(model, features)["params"][
        "embedding"
    ]["table"]

    def objective(params):
        return model.apply({"params": params}, features).sum()

    gradients = jax.jit(jax.grad(objective))(params)
    for stream in ("first", "second"):
        for leaf in jax.tree.leaves(gradients[f"{stream}_gate"]):
            assert (leaf != 0).any()


def test_a_gate_of_a_field_that_is_not_there_is_refused():
    for fields in [(4,), (0, -1)]:
        with pytest.raises(
            errors.InputError,
            match=r"^Gate fields are .*; expected fields from 0 to 3\.",
        ):
            make("full", second_gate_fields=fields)


@pytest.mark.parametrize("num_heads", [3, 4])
def test_heads_that_do_not_divide_the_streams_are_refused(num_heads):
    with pytest.raises(
        errors.InputError,
        match=rf"^finalmlp's num_heads is {num_heads}; expected a divisor of the last widths 4 and 6\.",
    ):
        make("plain", num_heads=num_heads)


def test_has_as_many_parameters_as_published_for_frappe():
    """Less the tables of the gates, which share ours, and one of two biases.

    The published run has, as ours, two ids a field that are no value of the training
    rows, so that the 5,379 values make 5,399 ids: 956 users and 4,084 items in tables
    of their own.
    """
    model = models.make(
        "finalmlp",
        vocab_size=samples.FRAPPE_VOCAB_SIZE + 10,
        embedding_dim=10,
        first_hidden_dims=(400,),
        second_hidden_dims=(100,),
        gate_hidden_dims=(400,),
        first_gate_fields=(0,),
        second_gate_fields=(1,),
        num_heads=5,
        normalization="batch",
    )
    assert samples.num_parameters(model) == 253392 - (956 + 4084) * 10 - 1
