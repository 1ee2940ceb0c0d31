"""What every model keeps; a new file in afm_jax/models is picked up by itself."""

import dataclasses
import functools
import inspect
import operator
import re
import typing
from typing import Any, NamedTuple

import examples
import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from afm_jax import models
from afm_jax.errors import InputError
from afm_jax.features import Features

every_model = pytest.mark.parametrize("name", models.names())
every_form = pytest.mark.parametrize("name", examples.FORMS)
every_kind = pytest.mark.parametrize("kind", examples.KINDS)


class Case(NamedTuple):
    """A model with random parameters, the same for all tests, and features for it."""

    model: nn.Module
    variables: dict[str, Any]
    features: Features


@functools.cache
def make_case(name, kind):
    model = examples.make_form(name, **examples.data_hyperparameters(kind))
    features = examples.random_features(kind)
    return Case(model, examples.random_variables(model, features), features)


@functools.cache
def compiled(model):
    return examples.optimized_jit(model.apply)


def logits_of(case, features):
    return np.asarray(compiled(case.model)(case.variables, features))


def dropout_rates(model):
    """Names of the hyperparameters that make training random."""
    fields = [field.name for field in dataclasses.fields(model)]
    return [field for field in fields if field.endswith("dropout_rate")]


def is_table(path):
    return path[-1].key == "table"


@functools.cache
def eager_logits(name, kind):
    case = make_case(name, kind)
    return case.model.apply(case.variables, case.features)


@every_form
@every_kind
def test_logits_are_one_float32_a_row(name, kind):
    case, logits = make_case(name, kind), eager_logits(name, kind)
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
@every_kind
def test_compiled_equals_eager(name, kind):
    case, eager = make_case(name, kind), eager_logits(name, kind)
    np.testing.assert_allclose(
        logits_of(case, case.features),
        eager,
        rtol=1e-5,
        # A small logit may be the difference of terms as large as the other logits.
        atol=1e-5 * max(1, np.abs(eager).max()),
    )


@every_form
def test_one_exported_program_computes_batches_of_any_size(name):
    case = make_case(name, "full")
    rows = jax.export.symbolic_shape("rows")[0]
    inputs = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct((rows, *leaf.shape[1:]), leaf.dtype),
        case.features,
    )
    exported = jax.export.export(jax.jit(case.model.apply))(case.variables, inputs)
    many = examples.random_features("full", seed=3, num_rows=200)
    expected = np.asarray(case.model.apply(case.variables, many))
    for num_rows in (1, 3, 200):
        features = jax.tree.map(operator.itemgetter(slice(num_rows)), many)
        found = exported.call(case.variables, features)
        np.testing.assert_allclose(
            found,
            expected[:num_rows],
            rtol=1e-5,
            atol=1e-5 * max(1, np.abs(expected).max()),
        )


@every_form
@every_kind
def test_a_row_does_not_depend_on_other_rows(name, kind):
    case = make_case(name, kind)
    others = examples.random_features(kind, seed=1)
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
        ids[:, slot] = (ids[:, slot] + 5) % examples.VOCAB_SIZE
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


@functools.cache
def gradient_of(name, kind):
    """(parameters, other variables, features) -> the gradient of a squared loss."""
    case = make_case(name, kind)
    labels = np.arange(len(case.features.ids)) % 2

    def loss(params, rest, features):
        logits = case.model.apply({"params": params, **rest}, features)
        return jnp.square(logits - labels).sum()

    return jax.jit(jax.grad(loss))


@every_form
@every_kind
def test_parameters_are_named_and_receive_gradient(name, kind):
    case = make_case(name, kind)
    rest = dict(case.variables)
    params = rest.pop("params")
    gradient = gradient_of(name, kind)
    leaves = jax.tree.leaves_with_path(gradient(params, rest, case.features))
    for path, leaf in leaves:
        where = jax.tree_util.keystr(path, simple=True, separator="/")
        assert not re.search(r"(^|/)[A-Z]\w*_\d+(/|$)", where), f"{where} has no name"
        assert np.isfinite(leaf).all(), where
        assert (leaf != 0).any(), where
        if is_table(path):
            used = np.unique(case.features.ids)
            assert (np.delete(leaf, used, axis=0) == 0).all(), where


@every_form
def test_every_parameter_learns_from_the_start_that_the_model_gives_it(name):
    case = make_case(name, "full")
    init = jax.jit(case.model.init)
    rest = dict(init(jax.random.key(0), case.features))
    params = jax.tree.map(np.asarray, rest.pop("params"))
    learned = jax.tree.map(lambda leaf: False, params)
    gradient = gradient_of(name, "full")
    for _ in range(4):
        slopes = jax.tree.map(np.asarray, gradient(params, rest, case.features))
        learned = jax.tree.map(lambda done, s: done or s.any(), learned, slopes)
        params = jax.tree.map(lambda leaf, s: leaf - 0.01 * np.sign(s), params, slopes)
    for path, done in jax.tree.leaves_with_path(learned):
        assert done, jax.tree_util.keystr(path, simple=True, separator="/")


@every_form
@every_kind
def test_tables_alone_depend_on_the_vocabulary(name, kind):
    """So that row updates can run the model on the rows of a batch."""
    case = make_case(name, kind)
    larger = case.model.clone(vocab_size=examples.VOCAB_SIZE + 11)
    shapes = jax.eval_shape(larger.init, jax.random.key(0), case.features)
    leaves = jax.tree.leaves_with_path(case.variables)
    for (path, leaf), other in zip(leaves, jax.tree.leaves(shapes), strict=True):
        where = jax.tree_util.keystr(path, simple=True, separator="/")
        if is_table(path):
            assert where in ("params/embedding/table", "params/first_order/table")
            assert leaf.shape[0] == examples.VOCAB_SIZE
            assert other.shape == (examples.VOCAB_SIZE + 11, *leaf.shape[1:])
        else:
            assert leaf.shape == other.shape, where


@every_form
@every_kind
def test_the_model_over_the_rows_of_a_batch_is_the_same_model(name, kind):
    case = make_case(name, kind)
    rows, positions = np.unique(case.features.ids, return_inverse=True)
    small = case._replace(
        model=case.model.clone(vocab_size=len(rows)),
        variables=jax.tree.map_with_path(
            lambda path, leaf: leaf[rows] if is_table(path) else leaf, case.variables
        ),
    )
    np.testing.assert_allclose(
        logits_of(small, case.features._replace(ids=positions.astype(np.int32))),
        logits_of(case, case.features),
        rtol=1e-6,
        atol=1e-6,
    )


@every_model
def test_evaluation_is_not_random(name):
    case = make_case(name, "full")
    with_key = case.model.apply(
        case.variables, case.features, rngs={"dropout": jax.random.key(0)}
    )
    np.testing.assert_array_equal(with_key, eager_logits(name, "full"))


@pytest.mark.parametrize(
    ("name", "rate"),
    [
        (name, rate)
        for name in models.names()
        for rate in dropout_rates(models.make(name, vocab_size=1))
    ],
)
def test_every_dropout_rate_changes_training(name, rate):
    case = make_case(name, "full")
    model = examples.without_batch_statistics(case.model).clone(**{rate: 0.5})

    def training_logits(seed):
        rngs = {"dropout": jax.random.key(seed)}
        return model.apply(case.variables, case.features, train=True, rngs=rngs)

    once = training_logits(1)
    np.testing.assert_array_equal(once, training_logits(1))
    assert (once != training_logits(2)).any()
    assert (once != model.apply(case.variables, case.features)).any()


@every_model
def test_training_without_dropout_needs_no_key_and_changes_nothing(name):
    case = make_case(name, "full")
    model = examples.without_batch_statistics(case.model)
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

    @jax.jit  # Of the tables alone: no other draw is compiled.
    def tables(key):
        leaves = jax.tree.leaves_with_path(model.init(key, case.features))
        return [leaf for path, leaf in leaves if is_table(path)]

    found = tables(jax.random.key(0))
    assert found
    for table in found:
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
    model = models.make(name, vocab_size=examples.VOCAB_SIZE)
    hyperparameters = {
        field.name: getattr(model, field.name)
        for field in dataclasses.fields(model)
        if field.name not in ("parent", "name")
    }
    assert models.make(name, **hyperparameters) == model
    assert {"vocab_size", "slot_fields"} < set(hyperparameters)


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
