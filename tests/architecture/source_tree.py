"""Sources as data: what the architecture tests read, from the project or from planted text."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Module:
    """One source file. ``name`` is dotted; a package's ``__init__.py`` carries the package's name."""

    name: str
    path: str
    text: str
    tree: ast.Module

    @property
    def is_package(self) -> bool:
        """A door-plate, not a room's content."""
        return self.path.endswith("__init__.py")

    @property
    def room(self) -> str:
        """``node.evm`` for ``node.evm.instructions.logs``; the module itself for a file directly under ``node``."""
        parts = self.name.split(".")
        if len(parts) == 2 and not self.is_package:
            return self.name
        return ".".join(parts[:2])


@dataclass(frozen=True)
class Import:
    """One imported module, and where."""

    target: str
    line: int
    top_level: bool


def project_files(root: Path, packages: Sequence[str]) -> dict[str, str]:
    """Path below ``root`` to text, sorted, of every Python file of the packages."""
    files: dict[str, str] = {}
    for package in packages:
        for path in sorted((root / package).rglob("*.py")):
            files[path.relative_to(root).as_posix()] = path.read_text(encoding="utf-8")
    return files


def parse(files: Mapping[str, str]) -> list[Module]:
    """Modules of the given files."""
    modules = []
    for path, text in files.items():
        parts = path.removesuffix(".py").split("/")
        if parts[-1] == "__init__":
            parts.pop()
        modules.append(Module(".".join(parts), path, text, ast.parse(text, path)))
    return modules


def imports_of(module: Module, known: frozenset[str]) -> Iterator[Import]:
    """Every import of the file, its names resolved to modules where ``known`` has them.

    ``from a.b import c`` is an import of ``a.b.c`` when that is a module, of ``a.b`` otherwise.
    A relative import is reported with its dots.
    """
    top_level = {id(statement) for statement in module.tree.body}
    for statement in ast.walk(module.tree):
        if isinstance(statement, ast.Import):
            for alias in statement.names:
                yield Import(alias.name, statement.lineno, id(statement) in top_level)
        elif isinstance(statement, ast.ImportFrom):
            source = "." * statement.level + (statement.module or "")
            for alias in statement.names:
                full = f"{source}.{alias.name}"
                yield Import(full if full in known else source, statement.lineno, id(statement) in top_level)


def dotted(expression: ast.expr) -> str:
    """``asyncio.start_server`` for the expression that reads so; empty when it is not a plain dotted name."""
    parts = []
    while isinstance(expression, ast.Attribute):
        parts.append(expression.attr)
        expression = expression.value
    if not isinstance(expression, ast.Name):
        return ""
    return ".".join([expression.id, *reversed(parts)])
