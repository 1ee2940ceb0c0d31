import pathlib
import re

import numpy as np
import pytest

from afm_jax import errors, models


def test_names_are_the_files_of_the_package():
    files = pathlib.Path(models.__file__).parent.glob("[!_]*.py")
    assert models.names() == tuple(sorted(file.stem for file in files))
    assert {"lr", "fm", "afm", "afm_deep"} <= set(models.names())


def test_a_description_is_what_the_file_of_the_model_says():
    found = models.describe("dcn")
    assert (found.name, found.title) == ("dcn", "Deep & Cross network")
    assert found.paper == "Wang et al. 2017"
    assert found.formula == (
        "logits = p^T [x_L, MLP(x_0)] + b, x_{l+1} = x_0 (x_l^T w_l) + b_l + x_l (eq. 3)"
    )
    assert found.notes[0].startswith("x_0 = [v_1 x_1, ..., v_F x_F, d], d the dense")
    assert found.notes[1].startswith("Departures from the paper: ")
    assert found.extra_parameters == found.cost == "L n + M(n)"
    layers = found.hyperparameters[1]
    assert layers == models.Hyperparameter(
        name="num_cross_layers",
        annotation=int,
        default=6,
        meaning="Number of cross layers, L in the formula. The paper has 6 for Criteo.",
    )
    assert layers.expected == "a whole number, 0 or more"
    assert "vocab_size" not in [each.name for each in found.hyperparameters]


def test_a_description_is_a_page_of_text():
    lines = str(models.describe("dcn")).splitlines()
    assert lines[0] == "dcn: Deep & Cross network (Wang et al. 2017)"
    start = lines.index("  num_cross_layers=6: a whole number, 0 or more")
    assert lines[start + 1].startswith(
        "      Number of cross layers, L in the formula."
    )


def test_a_model_that_there_is_not_has_no_description():
    with pytest.raises(errors.InputError, match=r"^Unknown model 'fmm'; .*'fm'\?$"):
        models.describe("fmm")


def test_make_sets_hyperparameters():
    model = models.make("fm", vocab_size=9, embedding_dim=3, first_order_inputs="dense")
    assert (model.vocab_size, model.embedding_dim) == (9, 3)
    assert (model.first_order_inputs, model.slot_fields) == ("dense", None)


def test_make_takes_lists_for_tuples_and_whole_numbers_for_floats():
    model = models.make(
        "afm_deep", vocab_size=9, hidden_dims=[8, 4], dropout_rate=0, slot_fields=[0, 1]
    )
    assert model.hidden_dims == (8, 4)
    assert isinstance(model.dropout_rate, float)
    assert model.slot_fields == (0, 1)


def test_unknown_model_is_refused():
    with pytest.raises(
        errors.InputError,
        match=r"^Unknown model 'fmm'; choose from \('afm', 'afm_deep', .*'lr'.*\)\. Did you mean 'fm'\?$",
    ):
        models.make("fmm", vocab_size=9)


def test_a_path_is_not_a_model():
    with pytest.raises(errors.InputError, match="Unknown model"):
        models.make("fm.Model", vocab_size=9)


def test_a_model_is_found_by_its_name_in_small_letters_only():
    with pytest.raises(errors.InputError, match=r"'AFM'; .* Did you mean 'afm'\?$"):
        models.make("AFM", vocab_size=9)


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("embeding_dim", " Did you mean 'embedding_dim'?"),
        ("k", ""),
        ("parent", ""),
        ("name", ""),
        ("setup", ""),
        ("self", ""),
        ("hyperparameters", ""),
    ],
)
def test_unknown_hyperparameter_is_refused(key, hint):
    message = (
        f"fm has no hyperparameter {key!r}; it has "
        f"('embedding_dim', 'first_order_inputs', 'init_stddev').{hint}"
    )
    with pytest.raises(errors.InputError, match=f"^{re.escape(message)}$"):
        models.make("fm", vocab_size=9, **{key: 4})


WHOLE = "a whole number, 1 or more"
DIMS = "a tuple of whole numbers, 1 or more, such as (400, 400) or (64,)"


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("vocab_size", 0, WHOLE),
        ("embedding_dim", "8", WHOLE),
        ("embedding_dim", 0, WHOLE),
        ("embedding_dim", -3, WHOLE),
        ("embedding_dim", 8.0, WHOLE),
        ("embedding_dim", True, WHOLE),
        ("embedding_dim", None, WHOLE),
        ("embedding_dim", 2**31, f"{WHOLE}, at most 2,147,483,647"),
        ("embedding_dim", [8], WHOLE),
        ("hidden_dims", (8, 10**10), f"{DIMS}, at most 2,147,483,647"),
        ("hidden_dims", ((64, 32),), DIMS),
        ("hidden_dims", (64, -1), DIMS),
        ("hidden_dims", {64}, DIMS),
        ("hidden_dims", 64, DIMS),
        ("hidden_dims", (64, 0), DIMS),
        ("hidden_dims", (64, "a"), DIMS),
        ("hidden_dims", "64", DIMS),
        ("slot_fields", 3, "a tuple of whole numbers or None"),
        ("dropout_rate", 1, "a number in [0, 1)"),
        ("dropout_rate", -0.1, "a number in [0, 1)"),
        ("dropout_rate", float("nan"), "a number in [0, 1)"),
        ("attention_dropout_rate", "0.1", "a number in [0, 1)"),
        ("init_stddev", 10**400, "a number above 0"),
        ("init_stddev", 0, "a number above 0"),
        ("init_stddev", False, "a number above 0"),
        ("pooling", "max", "one of ('mean', 'sum')"),
        ("normalization", "group", "one of ('batch', 'layer', None)"),
        ("dense_in_deep", 1, "True or False"),
    ],
)
def test_values_of_the_wrong_type_or_out_of_range_are_refused(key, value, expected):
    message = f"afm_deep's {key} is {errors.shown(value)}; expected {expected}."
    with pytest.raises(errors.InputError, match=f"^{re.escape(message)}$"):
        models.make("afm_deep", **{"vocab_size": 9, key: value})


@pytest.mark.parametrize("value", [-1, 1.0, True])
def test_numbers_of_layers_are_0_or_more(value):
    message = (
        f"dcn's num_cross_layers is {value!r}; expected a whole number, 0 or more."
    )
    with pytest.raises(errors.InputError, match=f"^{re.escape(message)}$"):
        models.make("dcn", vocab_size=9, num_cross_layers=value)
    assert models.make("dcn", vocab_size=9, num_cross_layers=0).num_cross_layers == 0


@pytest.mark.parametrize(
    ("name", "key"), [("dcn", "num_cross_layers"), ("fignn", "num_steps")]
)
def test_what_is_traced_again_and_again_has_an_end(name, key):
    assert getattr(models.make(name, vocab_size=9, **{key: 1000}), key) == 1000
    with pytest.raises(errors.InputError, match=r" or more, at most 1,000\.$"):
        models.make(name, vocab_size=9, **{key: 1001})


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("fibinet", "reduction_ratio"),
        ("dcnv2", "num_experts"),
        ("autoint", "num_heads"),
        ("finalmlp", "num_heads"),
        ("fignn", "num_steps"),
    ],
)
def test_ratios_and_other_numbers_are_one_or_more(name, key):
    message = f"{name}'s {key} is 0; expected {WHOLE}."
    with pytest.raises(errors.InputError, match=f"^{re.escape(message)}$"):
        models.make(name, vocab_size=9, **{key: 0})


def test_numbers_of_numpy_are_numbers():
    model = models.make(
        "fm",
        vocab_size=np.int64(10),
        embedding_dim=np.int32(3),
        init_stddev=np.float32(0.5),
    )
    assert (model.vocab_size, model.embedding_dim, model.init_stddev) == (10, 3, 0.5)
    assert all(type(n) is int for n in (model.vocab_size, model.embedding_dim))
    with pytest.raises(errors.InputError, match="init_stddev is inf"):
        models.make("fm", vocab_size=10, init_stddev=float("inf"))
