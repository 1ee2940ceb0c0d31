"""Imports go one way, optional packages only inside functions; files and functions are short."""

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


def used_of_ours(tree):
    """Names of our modules that a module imports, or reads as `module.name`."""
    modules = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and layer(node.module) is not None:
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                if file_of(full):
                    modules[alias.asname or alias.name] = full
                else:
                    yield full
    local = {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)} | {
        node.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }
    for node in ast.walk(tree):
        is_read = isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
        if is_read and node.value.id in modules.keys() - local:
            yield f"{modules[node.value.id]}.{node.attr}"


def file_of(module):
    path = ROOT.joinpath(*module.split("."))
    found = (path.with_suffix(".py"), path / "__init__.py")
    return next((file for file in found if file.is_file()), None)


@functools.cache
def defined_in(file):
    """What a module defines, at its top level, or has in `__all__`."""
    names = set()
    for node in tree_of(file).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            stored = [name for target in targets for name in ast.walk(target)]
            names.update(name.id for name in stored if isinstance(name, ast.Name))
            if ast.unparse(targets[0]) == "__all__":
                names.update(ast.literal_eval(node.value))
    return names


def is_defined(name):
    module, _, name_in_it = name.rpartition(".")
    is_module = file_of(name) is not None
    return (
        is_module
        or name_in_it == "__name__"
        or name_in_it in defined_in(file_of(module))
    )


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


def test_what_begins_with_an_underscore_is_of_its_own_module():
    """So every other name is public, and stays or is moved with a word in CHANGELOG."""
    wrong = [
        f"{name_of(path)} uses {name}"
        for path in FILES
        for name in used_of_ours(tree_of(path))
        if name.rpartition(".")[2].startswith("_") and not name.endswith("__")
    ]
    assert not wrong


def test_a_name_of_the_library_is_imported_from_where_it_is_defined():
    """Or from a package that lists it in `__all__`."""
    wrong = [
        f"{name_of(path)} uses {name}"
        for path in FILES
        for name in used_of_ours(tree_of(path))
        if name.startswith("afm_jax.") and not is_defined(name)
    ]
    assert not wrong


def test_no_file_is_over_300_lines():
    long = {name_of(path) for path in FILES if path.read_text().count("\n") > 300}
    assert not long


def arguments_of(function):
    given = function.args
    found = [*given.posonlyargs, *given.args, *given.kwonlyargs]
    return [each.arg for each in found if each.arg not in ("self", "cls")]


def test_no_function_takes_more_than_seven_arguments():
    wrong = [
        f"{name_of(path)}.{node.name}"
        for path in FILES
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.FunctionDef) and len(arguments_of(node)) > 7
    ]
    assert not wrong


def nodes(kind):
    """(where it stands, node) of all our files."""
    for path in FILES:
        for node in ast.walk(tree_of(path)):
            if isinstance(node, kind):
                yield f"{name_of(path)} line {node.lineno}", node


def test_a_module_is_made_with_keywords_and_takes_one_argument_without():
    modules = [
        (where, node)
        for where, node in nodes(ast.ClassDef)
        if "nn.Module" in [ast.unparse(base) for base in node.bases]
    ]
    assert len(modules) > 40
    taken = [
        where
        for where, module in modules
        for node in module.body
        if isinstance(node, ast.FunctionDef) and node.name == "__call__"
        if node.args.args[2:]  # the first is `self`
    ]
    assert not taken
    names = {module.name for _, module in modules}
    made = [
        where
        for where, node in nodes(ast.Call)
        if where.startswith(("afm_jax.models", "afm_jax.modules"))
        if ast.unparse(node.func).rpartition(".")[2] in names and node.args
    ]
    assert not made


def test_no_tuple_is_unpacked_where_it_is_written():
    wrong = [
        f"{name_of(path)} line {node.lineno}"
        for path in (*FILES, *(ROOT / "tests").rglob("*.py"))
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Starred) and isinstance(node.value, ast.Tuple)
    ]
    assert not wrong
