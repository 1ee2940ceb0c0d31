from absl import flags

from afm_jax.data.formats import Option
from experiments.cli import groups, option_flags

OPTIONS = [
    Option("sign", None, "A sign."),
    Option("wide", False, "Wide?"),
    Option("words", (), "Words."),
    Option("size", 3, "A size."),
]


def test_flags_have_the_types_of_the_options_and_only_given_ones_have_values():
    values = flags.FlagValues()
    group = groups.Group(values, "Words")
    option_flags.define(OPTIONS, group, help=lambda option: f"{option.help} More.")
    values(["program", "--wide", "--words=a,b", "--size=5"])
    assert option_flags.given(OPTIONS, values) == {
        "wide": True,
        "words": ["a", "b"],
        "size": 5,
    }
    assert values["sign"].help == "A sign. More."
