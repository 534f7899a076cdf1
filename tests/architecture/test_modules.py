"""What is true of every module: it says what it is for, it can be read in one sitting, its stub does not lie."""

from __future__ import annotations

import ast
import importlib
from pathlib import PurePosixPath

import pytest

from tests.architecture.tree import generated, modules, text, tracked

LINES_MAX = 500
# A file of tests is read case by case.
TEST_LINES_MAX = 600
COMPILED = [path for path in modules() if path.suffix == ".pyx"]


def docstring(path: PurePosixPath) -> str:
    if path.suffix == ".py":
        return ast.get_docstring(ast.parse(text(path))) or ""
    # Cython's grammar is not Python's; its modules begin with the docstring, behind directives at most.
    opening, _, rest = text(path).partition('"""')
    directives = all(line.startswith("# cython:") for line in opening.splitlines())
    return rest.partition('"""')[0] if directives else ""


def test_each_module_says_what_it_is_for() -> None:
    helpers = [path for path in tracked() if path.suffix == ".py" and path.parts[0] in {"deploy", "setup.py"}]
    silent = [str(path) for path in (*modules(), *helpers) if len(docstring(path)) < 20]
    assert silent == []


def test_no_module_is_too_long_to_be_read() -> None:
    written = [path for path in tracked() if path.suffix in {".py", ".pyx", ".pxd", ".h"} and not generated(path)]
    lengths = {path: text(path).count("\n") for path in written}
    bounds = {path: TEST_LINES_MAX if path.parts[0] == "tests" else LINES_MAX for path in written}
    assert {str(path): lines for path, lines in lengths.items() if lines > bounds[path]} == {}


def public(names: object) -> set[str]:
    assert isinstance(names, dict)
    return {name for name in names if not name.startswith("_")}


@pytest.mark.parametrize("path", COMPILED, ids=str)
def test_a_stub_names_what_its_compiled_module_offers(path: PurePosixPath) -> None:
    module = importlib.import_module(".".join(path.with_suffix("").parts))
    stub = ast.parse(text(path.with_suffix(".pyi")))
    offered = {
        name: value
        for name, value in vars(module).items()
        # What Cython imported for itself is not offered.
        if not name.startswith("_") and getattr(value, "__module__", module.__name__) == module.__name__
        if callable(value)
    }
    if not stub.body:
        # Reached from compiled modules only: nothing in Python may name it.
        assert not [other for other in modules() if other.suffix == ".py" and module.__name__ in text(other)]
        return
    classes = {node.name: node for node in stub.body if isinstance(node, ast.ClassDef)}
    functions = {node.name for node in stub.body if isinstance(node, ast.FunctionDef)}
    named = {name for name in classes.keys() | functions if not name.startswith("_")}
    assert named == offered.keys()
    for name, node in classes.items():
        members = {item.name for item in node.body if isinstance(item, ast.FunctionDef)}
        members |= {
            item.target.id
            for item in node.body
            if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)
        }
        assert public(dict.fromkeys(members)) == public(dict(vars(offered[name]))), name
