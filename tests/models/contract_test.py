"""What every model keeps; a new file in afm_jax/models is picked up by itself."""

import dataclasses
import functools
import inspect
import re
import typing
from collections.abc import Callable
from typing import Any, NamedTuple

import exported_folders
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import samples
from flax import linen as nn

from afm_jax import model_rules, models, testing
from afm_jax.errors import InputError
from afm_jax.features import Features
from afm_jax.inference import export
from afm_jax.training import leaves

every_model = pytest.mark.parametrize("name", models.names())
every_form = pytest.mark.parametrize("name", samples.FORMS)
every_kind = pytest.mark.parametrize("kind", samples.KINDS)


class Case(NamedTuple):
    """A model with random parameters, the same for all tests, and features for it."""

    model: nn.Module
    apply: Callable[..., jax.Array]
    """The model's, compiled; 'full' as users compile it."""
    variables: dict[str, Any]
    features: Features


@functools.cache
def make_case(name, kind):
    model = samples.make_form(name, **samples.data_hyperparameters(kind))
    features = samples.random_features(kind)
    variables = samples.random_variables(model, features)
    compile = jax.jit if kind == "plain" else samples.optimized_jit
    return Case(model, compile(model.apply), variables, features)


def logits_of(case, features):
    return np.asarray(case.apply(case.variables, features))


def dropout_rates(model):
    """Names of the hyperparameters that make training random."""
    fields = [field.name for field in dataclasses.fields(model)]
    return [field for field in fields if field.endswith("dropout_rate")]


def is_table(path):
    return path[-1].key == "table"


@functools.cache
def eager_logits(name):
    """Of the 'full' case, operation by operation; each of them is compiled alone."""
    case = make_case(name, "full")
    return np.asarray(case.model.apply(case.variables, case.features))


@every_form
@every_kind
def test_logits_are_one_float32_a_row(name, kind):
    case = make_case(name, kind)
    logits = logits_of(case, case.features)
    assert logits.shape == (len(case.features.ids),)
    assert logits.dtype == jnp.float32
    assert np.isfinite(logits).all()
    assert len(np.unique(logits)) == len(logits)


@every_model
def test_an_option_that_there_is_not_is_refused(name):
    case = make_case(name, "full")
    annotations = typing.get_type_hints(type(case.model))
    for option, annotation in annotations.items():
        if "Literal" in str(annotation) and option not in ("parent", "name"):
            wrong = case.model.clone(**{option: "no such thing"})
            with pytest.raises(InputError, match=r"must be one of .*no such thing"):
                jax.eval_shape(wrong.init, jax.random.key(0), case.features)


@every_form
def test_compiled_equals_eager(name):
    case, eager = make_case(name, "full"), eager_logits(name)
    np.testing.assert_allclose(
        logits_of(case, case.features),
        eager,
        rtol=1e-5,
        # A small logit may be the difference of terms as large as the other logits.
        atol=1e-5 * max(1, np.abs(eager).max()),
    )


@every_form
def test_the_reader_of_exported_folders_computes_batches_of_any_size(name):
    case = make_case(name, "full")
    features = {
        part: array for part, array in case.features._asdict().items() if array.size
    }
    widths = {
        part: (array.shape[1], array.dtype.name) for part, array in features.items()
    }
    program = export.make_program(case.model, case.variables, widths)
    weights = leaves.by_name(case.variables)
    compute = exported_folders.load(program, weights, widths)
    order = np.random.default_rng(3).integers(len(case.features.ids), size=200)
    expected = logits_of(case, case.features)
    for rows in (order[:1], order):
        np.testing.assert_allclose(
            compute({part: array[rows] for part, array in features.items()}),
            expected[rows],
            rtol=1e-6,
            # A small logit may be the difference of terms as large as the other logits.
            atol=1e-6 * max(1, np.abs(expected).max()),
        )


@every_form
@every_kind
def test_a_row_does_not_depend_on_other_rows(name, kind):
    case = make_case(name, kind)
    others = samples.random_features(kind, seed=1)
    mixed = jax.tree.map(
        lambda ours, theirs: np.concatenate([ours[:2], theirs[2:]]),
        case.features,
        others,
    )
    before, after = logits_of(case, case.features), logits_of(case, mixed)
    np.testing.assert_array_equal(before[:2], after[:2])
    assert (before[2:] != after[2:]).all()


@every_model
@every_kind
def test_logits_move_with_their_rows(name, kind):
    case = make_case(name, kind)
    order = np.random.default_rng(2).permutation(len(case.features.ids))
    moved = jax.tree.map(lambda leaf: leaf[order], case.features)
    np.testing.assert_allclose(
        logits_of(case, moved), logits_of(case, case.features)[order], rtol=1e-5
    )


@every_model
@every_kind
def test_every_id_counts_where_its_value_is_not_zero(name, kind):
    case = make_case(name, kind)
    before = logits_of(case, case.features)
    for slot in range(case.features.ids.shape[1]):
        ids = case.features.ids.copy()
        # Some other row of the table, of whichever field.
        ids[:, slot] = (ids[:, slot] + 5) % samples.VOCAB_SIZE
        after = logits_of(case, case.features._replace(ids=ids))
        if case.features.values is None:
            used = np.ones(len(ids), bool)
        else:
            used = case.features.values[:, slot] != 0
        np.testing.assert_array_equal(before != after, used)


@every_form
def test_every_value_and_every_dense_column_counts(name):
    case = make_case(name, "full")
    before = logits_of(case, case.features)
    for part in ("values", "dense"):
        array = getattr(case.features, part)
        for column in range(array.shape[1]):
            changed = array.copy()
            changed[:, column] += 0.75
            after = logits_of(case, case.features._replace(**{part: changed}))
            assert (before != after).all(), (part, column)


@every_model
def test_no_values_are_values_of_one(name):
    case = make_case(name, "plain")
    ones = np.ones(case.features.ids.shape, np.float32)
    np.testing.assert_allclose(
        logits_of(case, case.features._replace(values=ones)),
        logits_of(case, case.features),
        rtol=1e-6,
    )


@every_form
@every_kind
def test_every_parameter_has_a_name_and_counts(name, kind):
    case = make_case(name, kind)
    before, rng = logits_of(case, case.features), np.random.default_rng(4)
    leaves, treedef = jax.tree.flatten_with_path(case.variables["params"])
    for i, (path, leaf) in enumerate(leaves):
        where = jax.tree_util.keystr(path, simple=True, separator="/")
        assert not re.search(r"(^|/)[A-Z]\w*_\d+(/|$)", where), f"{where} has no name"
        others = [other for _, other in leaves]
        others[i] = leaf + rng.normal(0, 0.5, leaf.shape).astype(np.float32)
        changed = {**case.variables, "params": treedef.unflatten(others)}
        assert (case.apply(changed, case.features) != before).any(), where


@every_form
@every_kind
def test_tables_alone_depend_on_the_vocabulary(name, kind):
    case = make_case(name, kind)
    model_rules.check_tables(case.model, case.features)


@every_form
def test_the_model_over_the_table_rows_of_a_batch_is_the_same_model(name):
    case = make_case(name, "full")
    table_rows, positions = np.unique(case.features.ids, return_inverse=True)
    small = case.model.clone(vocab_size=len(table_rows))
    variables = jax.tree.map_with_path(
        lambda path, leaf: leaf[table_rows] if is_table(path) else leaf, case.variables
    )
    ids = positions.reshape(case.features.ids.shape).astype(np.int32)
    np.testing.assert_allclose(
        small.apply(variables, case.features._replace(ids=ids)),
        eager_logits(name),
        rtol=1e-6,
        atol=1e-6,
    )


@every_model
def test_evaluation_is_not_random(name):
    case = make_case(name, "full")
    with_key = case.model.apply(
        case.variables, case.features, rngs={"dropout": jax.random.key(0)}
    )
    np.testing.assert_array_equal(with_key, eager_logits(name))


@pytest.mark.parametrize(
    "name",
    [
        name
        for name in models.names()
        if dropout_rates(models.make(name, vocab_size=samples.VOCAB_SIZE))
    ],
)
def test_training_is_as_random_as_its_key(name):
    case = make_case(name, "full")
    model = samples.without_batch_statistics(case.model)
    model = model.clone(**dict.fromkeys(dropout_rates(model), 0.5))
    rngs = {"dropout": jax.random.key(1)}
    once, again = (
        model.apply(case.variables, case.features, train=True, rngs=rngs)
        for _ in range(2)
    )
    np.testing.assert_array_equal(once, again)


@every_model
def test_training_without_dropout_needs_no_key_and_changes_nothing(name):
    case = make_case(name, "full")
    model = samples.without_batch_statistics(case.model)
    model = model.clone(**dict.fromkeys(dropout_rates(model), 0.0))
    np.testing.assert_allclose(
        model.apply(case.variables, case.features, train=True),
        model.apply(case.variables, case.features),
        rtol=1e-5,
        atol=1e-6,
    )


@every_model
def test_tables_start_normal_with_init_stddev(name):
    case = make_case(name, "full")
    model = case.model.clone(vocab_size=20_000, init_stddev=0.03)

    def tables_of(variables):
        leaves = jax.tree.leaves_with_path(variables)
        return [leaf for path, leaf in leaves if is_table(path)]

    tables = samples.initial_variables(model, case.features, tables_of)
    assert tables
    for table in map(np.asarray, tables):
        # The standard error of the deviation of 20,000 draws is 0.5%.
        np.testing.assert_allclose(table.std(), 0.03, rtol=0.03)


@pytest.mark.parametrize(
    ("inputs", "names"),
    [
        ("all", {"bias", "table", "kernel"}),
        ("fields", {"bias", "table"}),
        ("dense", {"bias", "kernel"}),
    ],
)
@pytest.mark.parametrize(
    "name",
    [
        name
        for name in models.names()
        if hasattr(models.make(name, vocab_size=1), "first_order_inputs")
    ],
)
def test_first_order_inputs_choose_the_first_order_parameters(name, inputs, names):
    case = make_case(name, "full")
    model = case.model.clone(first_order_inputs=inputs)
    shapes = jax.eval_shape(model.init, jax.random.key(0), case.features)
    assert set(shapes["params"]["first_order"]) == names


@every_model
def test_defaults_pass_the_checks_of_hyperparameters(name):
    model = models.make(name, vocab_size=samples.VOCAB_SIZE)
    hyperparameters = {
        field.name: getattr(model, field.name)
        for field in dataclasses.fields(model)
        if field.name not in ("parent", "name")
    }
    assert models.make(name, **hyperparameters) == model
    assert {"vocab_size", "slot_fields"} < set(hyperparameters)


@every_form
def test_the_check_of_models_of_ones_own_finds_nothing_in_ours(name, monkeypatch):
    """It holds, of each model: every parameter receives gradient, a table in the table rows
    of the batch alone; every parameter learns from the start that the model gives it; every
    dropout rate changes training."""
    model = make_case(name, "full").model
    settings = {
        field.name: getattr(model, field.name)
        for field in dataclasses.fields(model)
        if field.name not in ("vocab_size", "slot_fields", "parent", "name")
    }
    samples.draw_quickly(monkeypatch)
    testing.check_model(type(model), **settings)


@every_model
def test_a_model_says_what_it_is_and_each_hyperparameter_in_a_sentence(name):
    described = models.describe(name)
    assert described.formula.startswith("logits = ")
    assert described.extra_parameters
    assert described.cost
    model = type(models.make(name, vocab_size=1))
    attributes = inspect.getdoc(model).partition("\nAttributes:\n")[2]
    documented = re.findall(r"^    (\w+): ", attributes, re.MULTILINE)
    fields = [field.name for field in dataclasses.fields(model)]
    assert documented == [name for name in fields if name not in ("parent", "name")]
    for each in described.hyperparameters:
        assert re.match(r"[A-Z'].{20,}\.$", each.meaning), each
