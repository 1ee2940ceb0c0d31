"""The presets of the note compute and train as the note's code does."""

import importlib.util

import jax
import note_models
import numpy as np
import pytest
from flax import traverse_util

from afm_jax.features import Batch, DenseColumn, Features, Field, Schema
from afm_jax.training import state, steps
from experiments import runs, train
from experiments.cli import flagfiles, program

FOLDER = flagfiles.PRESETS / "note"
NAMES = sorted(note_models.HIDDEN_DIMS)

with_and_without_torch = pytest.mark.parametrize(
    "source",
    [
        pytest.param(
            note_models.make_case,
            id="torch",
            marks=pytest.mark.skipif(
                importlib.util.find_spec("torch") is None, reason="no PyTorch"
            ),
        ),
        pytest.param(note_models.load_case, id="stored"),
    ],
)


def parse(name, *flags):
    path = FOLDER / f"{name}.flags"
    program.parse(train.FLAGS, ["train", f"--flagfile={path}", *flags])
    return train.config()


def make_model(name, *flags, field_sizes=note_models.FIELD_SIZES, num_dense=13):
    config = parse(name, *flags)
    ends = np.cumsum(field_sizes).tolist()
    fields = tuple(
        Field(f"C{i}", "categorical", size, end - size)
        for i, (size, end) in enumerate(zip(field_sizes, ends, strict=True))
    )
    dense = tuple(DenseColumn(f"I{i}", "none") for i in range(num_dense))
    return runs.make_model(
        config["model"], config["set"], Schema("small", fields, dense)
    )


def small(name):
    """The preset with the MLP of the case and without dropout, which is random."""
    if name == "note_afm":
        return make_model(name)
    dims = note_models.HIDDEN_DIMS[name]
    return make_model(name, f"--set=hidden_dims={dims}", "--set=dropout_rate=0")


def params_of(case, when):
    flat = {
        key.removeprefix(f"{when}/"): value
        for key, value in case.items()
        if key.startswith(f"{when}/")
    }
    return traverse_util.unflatten_dict(flat, sep="/")


@with_and_without_torch
@pytest.mark.parametrize("name", NAMES)
def test_given_the_same_parameters_the_probabilities_are_the_notes(name, source):
    case = source(name)
    features = Features(case["ids"], None, case["dense"])
    logits = small(name).apply({"params": params_of(case, "before")}, features)
    np.testing.assert_allclose(
        jax.nn.sigmoid(logits), case["probabilities"], rtol=0, atol=1e-5
    )


@with_and_without_torch
@pytest.mark.parametrize("name", NAMES)
def test_five_steps_move_every_parameter_as_pytorchs_adam_with_weight_decay(
    name, source
):
    case, model, config = source(name), small(name), parse(name)
    assert (config["optimizer"], config["schedule"]) == ("adam", "constant")
    assert (config["base_logit"], config["untrained_rows"]) == ("0", "keep")
    assert config["learning_rate"] == note_models.LEARNING_RATE
    task = train.make_task(model, total_steps=note_models.NUM_STEPS)
    features = Features(case["ids"], None, case["dense"])
    batch = Batch(features, case["labels"], np.ones_like(case["labels"]))
    run = state.create(model, task.tx, features, jax.random.key(0))
    before = params_of(case, "before")
    run = run._replace(params=before, opt_state=task.tx.init(before))
    step = jax.jit(steps.make_train_step(task))
    for _ in range(note_models.NUM_STEPS):
        run, _ = step(run, batch)
    jax.tree.map(
        lambda ours, theirs: np.testing.assert_allclose(
            ours, theirs, rtol=1e-5, atol=1e-6
        ),
        run.params,
        params_of(case, "after"),
    )


@pytest.mark.parametrize(
    ("name", "deep"),
    [
        ("note_afm", {}),
        (
            "note_afm_deep",
            {
                "mlp/hidden_0/kernel": (8, 64),
                "mlp/hidden_0/bias": (64,),
                "mlp/hidden_1/kernel": (64, 8),
                "mlp/hidden_1/bias": (8,),
            },
        ),
    ],
)
def test_the_parameters_are_the_notes_and_no_other(name, deep):
    model = make_model(name, field_sizes=(5,) * 26)
    features = Features(
        np.zeros((1, 26), np.int32), None, np.zeros((1, 13), np.float32)
    )
    params = jax.eval_shape(model.init, jax.random.key(0), features)["params"]
    found = traverse_util.flatten_dict(params, sep="/")
    assert {key: leaf.shape for key, leaf in found.items()} == {
        "dense_tower/kernel": (13, 8),
        "dense_tower/bias": (8,),
        "embedding/table": (130, 8),
        "attention/kernel": (8, 8),
        "attention/bias": (8,),
        "attention/query": (8,),
        "output/kernel": (8, 1),
        "output/bias": (1,),
        **deep,
    }


def test_note_afm_deep_drops_out_after_the_last_hidden_layer_alone():
    model = make_model("note_afm_deep")
    assert (model.dropout_rate, model.dropout_after) == (0.23, "last_layer")
    assert model.attention_dropout_rate == model.pooling_dropout_rate == 0
