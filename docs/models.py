"""Writes docs/models.md, the page of all models, from what their files say.

python -m docs.models
"""

import pathlib

from afm_jax import models

PAGE = pathlib.Path(__file__).with_suffix(".md")

_HEAD = """\
# Models

This page is written by `python -m docs.models` from the files in `afm_jax/models`. To change it,
change a model's docstring. `print(models.describe("afm"))` shows one model in Python, and
`--set=name=value` sets a hyperparameter of a program.
"""


def page() -> str:
    """The text of the page: letters, a table of all models, and a section for each."""
    described = [models.describe(name) for name in models.names()]
    letters = [
        f"| `{letter}` | {meaning} |" for letter, meaning in models.LETTERS.items()
    ]
    parts = [
        _HEAD,
        _table(("written", "meaning"), letters),
        _table(
            ("name", "model", "extra parameters", "cost of a row"),
            [
                f"| [`{each.name}`](#{each.name}) | {_title(each)} | {each.extra_parameters} | {each.cost} |"
                for each in described
            ],
        ),
        *map(_section, described),
    ]
    return "\n".join(parts)


def _section(model: models.Description) -> str:
    rows = [
        f"| `{each.name}` | `{each.default!r}` | {each.expected} | {each.meaning} |"
        for each in model.hyperparameters
    ]
    return "\n".join(
        [
            f"## {model.name}\n",
            f"{_title(model)}.\n",
            f"```text\n{model.formula}\n```\n",
            *(f"{note}\n" for note in model.notes),
            _table(("hyperparameter", "default", "values", "meaning"), rows),
        ]
    )


def _title(model: models.Description) -> str:
    return f"{model.title} ({model.paper})" if model.paper else model.title


def _table(heads: tuple[str, ...], rows: list[str]) -> str:
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|", *rows]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
