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
