"""Code asks what a fork brings, never what it is called: no fork names in node outside node/forks."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest
from source_tree import Module, parse

FORK_NAMES = frozenset(
    (
        "frontier",
        "homestead",
        "tangerine",
        "byzantium",
        "constantinople",
        "petersburg",
        "istanbul",
        "muir",
        "berlin",
        "london",
        "arrow",
        "gray",
        "paris",
        "shanghai",
        "cancun",
        "prague",
        "osaka",
        "bpo1",
        "bpo2",
        "bpo3",
        "bpo4",
        "bpo5",
        "amsterdam",
        "capella",
        "deneb",
        "electra",
        "fulu",
    )
)

OFFICIAL_WORDS = "node.types.invalid"
"""Refusals carry the names that the official test vectors use; what this module assigns may be named elsewhere."""

_WORD = re.compile(r"[A-Z]+(?![a-z])\d*|[A-Z]?[a-z]+\d*|\d+")


def _words(text: str) -> list[str]:
    """Lower-case words of an identifier or a string, cut at underscores and camel humps."""
    return [word.lower() for word in _WORD.findall(text)]


def _docstrings(tree: ast.Module) -> list[int]:
    """Identities of string statements: docstrings of modules, classes, functions and attributes."""
    return [
        id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    ]


def _names(tree: ast.Module) -> Iterator[tuple[str, int]]:
    documentation = frozenset(_docstrings(tree))
    for node in ast.walk(tree):
        line = getattr(node, "lineno", 0)
        if isinstance(node, ast.Name):
            yield node.id, line
        elif isinstance(node, ast.Attribute):
            yield node.attr, line
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name, line
        elif isinstance(node, ast.arg | ast.keyword) and node.arg:
            yield node.arg, line
        elif isinstance(node, ast.ImportFrom | ast.Import):
            if isinstance(node, ast.ImportFrom):
                yield node.module or "", line
            for alias in node.names:
                yield alias.name, line
                yield alias.asname or "", line
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation:
            yield node.value, line


def _official_names(modules: list[Module]) -> frozenset[str]:
    return frozenset(
        target.id
        for module in modules
        if module.name == OFFICIAL_WORDS
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    )


def fork_names(modules: list[Module]) -> list[str]:
    """Fork names as identifiers or strings, away from node/forks."""
    wrong = []
    official = _official_names(modules)
    for module in modules:
        if not module.name.startswith("node.") or module.room == "node.forks" or module.name == OFFICIAL_WORDS:
            continue
        file_words = FORK_NAMES.intersection(_words(module.path))
        if file_words:
            wrong.append(f"{module.path}: the file is named after a fork")
        for name, line in _names(module.tree):
            if FORK_NAMES.intersection(_words(name)) and name not in official:
                wrong.append(f"{module.path}:{line} says {name[:60]}")
    return wrong


def test_no_fork_names_outside_forks(modules: list[Module]) -> None:
    assert fork_names(modules) == []


@pytest.mark.parametrize(
    "text",
    [
        "is_london = True",
        "class CancunVM: pass",
        "x = fork.SHANGHAI",
        "def prague_gas(): pass",
        "def f(osaka): pass",
        "f(cancun=1)",
        "if spec.name == 'Paris': pass",
        "x = config['shanghaiTime']",
        "from node.forks import berlin",
        "from node.forks.cancun import SPEC",
        "x = 'BPO1'",
        "x = f'{y} since London'",
    ],
)
def test_a_fork_name_is_seen(text: str) -> None:
    assert fork_names(parse({"node/execution/a.py": text}))
    assert fork_names(parse({"node/forks/a.py": text})) == []


def test_a_file_named_after_a_fork_is_seen() -> None:
    assert fork_names(parse({"node/evm/cancun_gas.py": ""}))


def test_documentation_may_name_forks() -> None:
    text = (
        '"""As of Cancun."""\n\nX = 1\n"""Since London."""\n\n\ndef f():\n    """Berlin."""\n    # Osaka\n    y = 1\n'
    )
    assert fork_names(parse({"node/execution/a.py": text})) == []


def test_the_official_names_of_refusals_may_be_said() -> None:
    planted = {
        "node/types/invalid.py": "class Reason:\n    UNCLES_OVER_PARIS = 'UNCLES_OVER_PARIS'",
        "node/execution/a.py": "raise InvalidBlock(Reason.UNCLES_OVER_PARIS)",
        "node/execution/b.py": "raise InvalidBlock(Reason.SINCE_PARIS)",
    }
    assert fork_names(parse(planted)) == ["node/execution/b.py:1 says SINCE_PARIS"]
