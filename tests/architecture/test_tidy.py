"""Small files with honest names, door-plates without code, docstrings on all that is public, nothing left for later."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator

import pytest
from source_tree import Module, parse

LINES_MAX = 500
LONGER: dict[str, str] = {
    # path: why it is one piece
}
NAMES_FOR_ANYTHING = frozenset(
    ("utils", "util", "helpers", "helper", "common", "base", "misc", "manager", "managers", "stuff", "tools")
)
LEFT_FOR_LATER = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")


def long_files(modules: list[Module]) -> list[str]:
    """Files beyond the limit that no reason excuses."""
    return [
        f"{module.path}: {lines} lines"
        for module in modules
        if (lines := module.text.count("\n")) > LINES_MAX and module.path not in LONGER
    ]


def vague_names(modules: list[Module]) -> list[str]:
    """Files and folders whose name says nothing."""
    return [
        module.path for module in modules if NAMES_FOR_ANYTHING.intersection(module.path.removesuffix(".py").split("/"))
    ]


def busy_door_plates(modules: list[Module]) -> list[str]:
    """Packages whose ``__init__`` is missing its docstring or holds more than that."""
    wrong = []
    for module in modules:
        if not module.is_package:
            continue
        if ast.get_docstring(module.tree) is None:
            wrong.append(f"{module.path}: no docstring")
        if len(module.tree.body) > 1:
            wrong.append(f"{module.path}: code in the door-plate")
    return wrong


def folders_without_door_plate(modules: list[Module]) -> list[str]:
    """Folders that hold modules but no ``__init__``."""
    packages = frozenset(module.name for module in modules if module.is_package)
    folders = dict.fromkeys(module.name.rpartition(".")[0] for module in modules if not module.is_package)
    return [folder for folder in folders if folder and folder not in packages]


def _public(body: list[ast.stmt], prefix: str) -> Iterator[tuple[str, ast.AST, int]]:
    for statement in body:
        if not isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        if statement.name.startswith("_"):
            continue
        if any(isinstance(d, ast.Attribute) and d.attr in ("setter", "deleter") for d in statement.decorator_list):
            continue
        yield f"{prefix}{statement.name}", statement, statement.lineno
        if isinstance(statement, ast.ClassDef):
            yield from _public(statement.body, f"{prefix}{statement.name}.")


def undocumented(modules: list[Module]) -> list[str]:
    """Public modules, classes, functions and methods without a docstring."""
    wrong = []
    for module in modules:
        if ast.get_docstring(module.tree) is None:
            wrong.append(f"{module.path}: module")
        for name, statement, line in _public(module.tree.body, ""):
            assert isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
            if ast.get_docstring(statement) is None:
                wrong.append(f"{module.path}:{line} {name}")
    return wrong


def left_for_later(modules: list[Module]) -> list[str]:
    """Comments and docstrings that put work off."""
    wrong = []
    for module in modules:
        for token in tokenize.generate_tokens(io.StringIO(module.text).readline):
            if token.type == tokenize.COMMENT and LEFT_FOR_LATER.search(token.string):
                wrong.append(f"{module.path}:{token.start[0]} {token.string.strip()}")
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and (
                LEFT_FOR_LATER.search(ast.get_docstring(node) or "")
            ):
                wrong.append(f"{module.path}:{getattr(node, 'lineno', 1)} docstring")
            if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call | ast.Name):
                name = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
                if isinstance(name, ast.Name) and name.id == "NotImplementedError":
                    wrong.append(f"{module.path}:{node.lineno} NotImplementedError")
    return wrong


def test_files_are_short(modules: list[Module], test_modules: list[Module]) -> None:
    assert long_files([*modules, *test_modules]) == []


def test_names_say_something(modules: list[Module], test_modules: list[Module]) -> None:
    assert vague_names([*modules, *test_modules]) == []


def test_door_plates_hold_no_code(modules: list[Module]) -> None:
    assert busy_door_plates(modules) == []
    assert folders_without_door_plate(modules) == []


def test_all_that_is_public_is_documented(modules: list[Module]) -> None:
    assert undocumented(modules) == []


def test_nothing_is_left_for_later(modules: list[Module], test_modules: list[Module]) -> None:
    assert left_for_later([*modules, *test_modules]) == []


def test_a_long_file_is_seen() -> None:
    assert long_files(parse({"node/evm/a.py": "x = 1\n" * (LINES_MAX + 1)}))
    assert not long_files(parse({"node/evm/a.py": "x = 1\n" * LINES_MAX}))


@pytest.mark.parametrize("path", ["node/evm/utils.py", "node/common/a.py", "network/manager.py", "tests/helpers.py"])
def test_a_vague_name_is_seen(path: str) -> None:
    assert vague_names(parse({path: ""}))


def test_a_busy_door_plate_is_seen() -> None:
    assert busy_door_plates(parse({"node/evm/__init__.py": ""}))
    assert busy_door_plates(parse({"node/evm/__init__.py": '"""x"""\nfrom node.evm.gas import G'}))
    assert folders_without_door_plate(parse({"node/evm/a.py": "", "node/__init__.py": ""})) == ["node.evm"]


@pytest.mark.parametrize(
    "text",
    [
        "x = 1",
        '"""m"""\ndef f(): pass',
        '"""m"""\nclass A: pass',
        '"""m"""\nclass A:\n    """a"""\n    def f(self): pass',
        '"""m"""\nclass A:\n    """a"""\n    async def f(self): pass',
    ],
)
def test_a_missing_docstring_is_seen(text: str) -> None:
    assert len(undocumented(parse({"node/evm/a.py": text}))) == 1


def test_private_things_need_none() -> None:
    text = '"""m"""\ndef _f(): pass\nclass _A:\n    def f(self): pass\ndef g():\n    """g"""\n    def h(): pass'
    assert undocumented(parse({"node/evm/a.py": text})) == []


@pytest.mark.parametrize(
    "text",
    ["# TO" + "DO later", "x = 1  # XX" + "X", '"""FIX' + 'ME"""', "def f():\n    raise NotImplementedError"],
)
def test_work_put_off_is_seen(text: str) -> None:
    assert left_for_later(parse({"node/evm/a.py": text + "\n"}))
