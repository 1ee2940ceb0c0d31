"""Imports go one way, and optional packages only inside functions."""

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parents[1]
LAYERS = (
    "afm_jax.errors",
    "afm_jax.features",
    "afm_jax.hyperparameters",
    "afm_jax.ops",
    "afm_jax.modules",
    "afm_jax.models",
    "afm_jax.testing",
    "afm_jax.training",
)
OPTIONAL = {
    "tensorflow_datasets",
    "polars",
    "matplotlib",
    "tensorboardX",
    "array_record",
}
FILES = sorted(
    path
    for top in ("afm_jax", "data", "experiments")
    for path in (ROOT / top).rglob("*.py")
)


def name_of(path):
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def imported(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def layer(name):
    found = [i for i, top in enumerate(LAYERS) if f"{name}.".startswith(f"{top}.")]
    return found[0] if found else -1


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_imports_go_one_way(path):
    here = name_of(path)
    for name in imported(ast.parse(path.read_text(encoding="utf-8"))):
        top = name.split(".")[0]
        if here.startswith("afm_jax"):
            assert top not in ("data", "experiments"), name
            assert layer(name) <= layer(here), name
        if here.startswith("data"):
            assert top != "experiments", name
            assert not name.startswith(LAYERS[2:]), name


@pytest.mark.parametrize(
    "path",
    [path for path in FILES if not name_of(path).startswith("data")],
    ids=name_of,
)
def test_the_library_and_the_programs_need_no_extra(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    outer = [
        node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    tops = {name.split(".")[0] for node in outer for name in imported(node)}
    assert not tops & OPTIONAL


def test_ops_are_pure_functions_of_arrays():
    for path in (ROOT / "afm_jax/ops").glob("*.py"):
        tops = {name.split(".")[0] for name in imported(ast.parse(path.read_text()))}
        assert not tops & {"flax", "optax", "orbax"}, path
