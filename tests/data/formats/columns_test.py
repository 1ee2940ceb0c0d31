import pytest

pytest.importorskip("polars", reason="needs the extra 'data'")

from afm_jax.data.formats import columns
from afm_jax.errors import InputError

OPTIONS = {
    "label": "y",
    "categorical": ("c",),
    "numeric": ("n",),
    "multi_valued": ("m",),
    "separator": "|",
    "time": None,
}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"label": None}, "Give --label=NAME"),
        (
            {"categorical": (), "numeric": (), "multi_valued": ()},
            "columns are features",
        ),
        ({"categorical": ("c", "c")}, "'c' is named twice"),
        ({"categorical": ("y",)}, "'y' is named twice"),
        ({"multi_valued": ("n",)}, "'n' is named twice"),
        ({"time": "y"}, "'y' is the time and the label, the weight or a category"),
        ({"time": "c"}, "'c' is the time and the label, the weight or a category"),
        ({"time": "m"}, "'m' is the time and the label, the weight or a category"),
        ({"numeric": ("*",)}, r"named '\*' cannot be told from a pattern"),
        ({"time": "^t$"}, r"named '\^t\$' cannot be told from a pattern"),
        ({"separator": ""}, "--separator must not be empty"),
        (
            {"weight": "y"},
            "'y' is named twice; give it one role of: label, weight, cat",
        ),
        ({"weight": "n"}, "'n' is named twice"),
        ({"time": "w", "weight": "w"}, "'w' is the time and the label, the weight or"),
        ({"time_fields": ("hour",)}, "--time_fields needs --time"),
        ({"time": "t", "time_fields": ("minute",)}, "'minute' is none of hour, week"),
        ({"time": "t", "time_fields": ("hour", "hour")}, "hour,hour: one is twice"),
        (
            {"time": "t", "time_fields": ("hour",), "numeric": ("t_hour",)},
            "--time_fields makes a field 't_hour', and a column has that name",
        ),
        ({"categorical": ("*", "c")}, r"--categorical=\*,c: '\*' stands for all"),
    ],
)
def test_a_column_has_one_role(change, told):
    with pytest.raises(InputError, match=told):
        columns.Chosen.of({**OPTIONS, **change}, list)


def test_the_time_may_be_a_number_as_well():
    chosen = columns.Chosen.of({**OPTIONS, "time": "n"}, list)
    assert chosen.names == ("y", "c", "n", "m")
    assert chosen.roles[0] == ("y", "label")
    assert {("n", "numeric"), ("n", "time")} < set(chosen.roles)


def test_all_columns_are_those_that_no_other_flag_names():
    options = {**OPTIONS, "categorical": ("*",), "time": "t", "weight": "w"}
    names = ["a", "y", "n", "t", "b", "w", "m"]
    chosen = columns.Chosen.of(options, lambda: names)
    assert chosen.categorical == ("a", "b")
    for names, told in [
        (["y", "n", "t", "w", "m"], "other flags name all columns"),
        (["y", "", "n"], "column 2 has no name, as the index that pandas writes"),
        (["y", "^a$", "n"], r"named '\^a\$' cannot be told from a pattern"),
    ]:
        with pytest.raises(InputError, match=told):
            columns.Chosen.of(options, lambda names=names: names)


def test_fields_of_the_time_are_categories():
    options = {**OPTIONS, "time": "t", "time_fields": ("month", "hour")}
    layout = columns.Chosen.of(options, list).layout
    assert [tuple(column) for column in layout.columns] == [
        ("n", "numeric"),
        *((name, "categorical") for name in ("c", "t_month", "t_hour")),
        ("m", "multi_valued"),
    ]
