"""Documents that tell the truth: no command or option that does not exist, no link to nowhere, a reference of today."""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from network.cli.group import evmesh
from network.cli.reference import as_markdown

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted(
    path
    for path in (ROOT / "README.md", *(ROOT / "node").rglob("*.md"), *(ROOT / "network").rglob("*.md"))
    if "node_modules" not in path.parts
)
COMMAND = re.compile(r"\bevmesh (?=[a-z])([^`\"\n]*)")
FLAG = re.compile(r"^(--[a-z][a-z-]*|-[a-z])(?:=.*)?$")


def mentioned(text: str) -> Iterator[str]:
    """Every ``evmesh …`` up to the end of the code or the line, comments cut off."""
    for found in COMMAND.finditer(text):
        yield re.split(r"\s{2,}|\s#|[;→(),|{]|: |\\n|[.:](?=\s|$)", found[1])[0].strip()


def mistake(words: str) -> str | None:
    """What is wrong with a mentioned command, or None."""
    context = click.Context(evmesh, info_name="evmesh")
    command: click.Command = evmesh
    try:
        parts = shlex.split(words)
    except ValueError:
        parts = words.split()
    while parts and isinstance(command, click.Group):
        found = command.get_command(context, parts[0].rstrip(".:"))
        if found is None:
            if command is evmesh and parts[0].startswith("-"):
                return None
            return f"no command {parts[0]!r}"
        command = found
        parts = parts[1:]
    known = {"--help", "-h"} | {name for one in command.params for name in (*one.opts, *one.secondary_opts)}
    for part in parts:
        flag = FLAG.match(part)
        if flag and flag[1] not in known:
            return f"{command.name} has no option {flag[1]}"
    return None


def mistakes(text: str) -> list[str]:
    """Of a document or source file. The program's name in prose, before a word unlike any command, is no command."""
    names = evmesh.list_commands(click.Context(evmesh))
    return [
        f"evmesh {words}: {wrong}"
        for words in mentioned(text)
        if words and difflib.get_close_matches(words.split()[0], names, n=1, cutoff=0.7) and (wrong := mistake(words))
    ]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_document_names_a_command_that_is_not_there(path: Path) -> None:
    assert mistakes(path.read_text("utf-8")) == []


def test_no_hint_names_a_command_that_is_not_there() -> None:
    """The next steps that errors tell, examples in help, and what logs say."""
    found = {
        str(path.relative_to(ROOT)): wrong
        for folder in ("network", "node")
        for path in sorted((ROOT / folder).rglob("*.py"))
        if (wrong := mistakes(path.read_text("utf-8")))
    }
    assert found == {}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    targets = re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", path.read_text("utf-8"))
    assert [target for target in targets if not (path.parent / target).exists()] == []


def test_the_reference_of_commands_is_of_today() -> None:
    page = ROOT / "network" / "docs" / "COMMANDS.md"
    assert page.read_text("utf-8") == as_markdown(), f"python -m network.cli.reference > {page.relative_to(ROOT)}"


def test_mistakes_are_found() -> None:
    assert mistakes("`evmesh sned --from 0`") == ["evmesh sned --from 0: no command 'sned'"]
    assert mistakes("$ evmesh send --form 0   # pay") == ["evmesh send --form 0: send has no option --form"]
    assert mistakes("see evmesh send --help; evmesh up -d") == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_named_tests_exist(path: Path) -> None:
    """A bound is only as good as the test that the threat list names."""
    for file, _, test in re.findall(r"`(tests/[\w/]+\.py)(::(\w+))?`", path.read_text("utf-8")):
        assert (ROOT / file).is_file(), file
        assert not test or re.search(rf"^\s*(async )?def {test}\(", (ROOT / file).read_text("utf-8"), re.M), test
