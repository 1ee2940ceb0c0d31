"""Imports go one way, and optional packages only inside functions."""

import ast
import functools
import pathlib

ROOT = pathlib.Path(__file__).parents[1]
BELOW = (
    "afm_jax.errors",
    "afm_jax.files",
    "afm_jax.label_kinds",
    "afm_jax.features",
    "afm_jax.hyperparameters",
    "afm_jax.model_rules",
    "afm_jax.settings",
)
LINES = (
    (
        *BELOW,
        "afm_jax.ops",
        "afm_jax.modules",
        "afm_jax.models",
        "afm_jax.testing",
        "afm_jax.training",
        "afm_jax.inference",
        "afm_jax.api",
        "experiments",
    ),
    (*BELOW, "afm_jax.data", "afm_jax.inference", "afm_jax.api", "experiments"),
    ("afm_jax.training", "afm_jax.inference", "afm_jax.api", "afm_jax.__init__"),
    (*BELOW, "afm_jax.data", "experiments.cli", "data"),
    ("afm_jax.data", "experiments.cli", "data", "experiments"),
)
"""A module imports what stands before it in one of these lines, or beside it."""

LAYERS = {layer for line in LINES for layer in line}
OPTIONAL = {
    "tensorflow_datasets",
    "polars",
    "matplotlib",
    "tensorboardX",
    "array_record",
}
NEED_AN_EXTRA = (
    *(f"afm_jax.data.{room}." for room in ("formats", "preparation")),
    *(
        f"afm_jax.data.store.{file}"
        for file in ("record_reader", "record_writer", "upgrade")
    ),
    "afm_jax.inference.scoring",
    "data.",
)
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
    """The layer of a module, the most exact one; None if it is not ours."""
    found = [layer for layer in LAYERS if f"{name}.".startswith(f"{layer}.")]
    return max(found, key=len, default=None)


def may_import(here, there):
    lines = [line for line in LINES if {here, there} <= set(line)]
    return any(line.index(there) <= line.index(here) for line in lines)


@functools.cache
def tree_of(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def imported_at_once(tree):
    """What importing the module itself imports, not what its functions do later."""
    for node in tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from imported(node)


def test_imports_go_one_way():
    assert len(FILES) > 100
    wrong = [
        f"{name_of(path)} imports {name}"
        for path in FILES
        for name in imported(tree_of(path))
        if layer(name) is not None
        if not may_import(layer(name_of(path)), layer(name))
    ]
    assert not wrong


def test_the_library_and_the_programs_need_no_extra():
    wrong = [
        f"{name_of(path)} imports {name}"
        for path in FILES
        if not name_of(path).startswith(NEED_AN_EXTRA)
        for name in imported_at_once(tree_of(path))
        if name.split(".")[0] in OPTIONAL
    ]
    assert not wrong


def test_ops_are_pure_functions_of_arrays():
    wrong = [
        f"{path.name} imports {name}"
        for path in (ROOT / "afm_jax/ops").glob("*.py")
        for name in imported(tree_of(path))
        if name.split(".")[0] in {"flax", "optax", "orbax"}
    ]
    assert not wrong
