"""Makes the checkers beside the tests importable, and reads the project's sources once."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from source_tree import Module, parse, project_files

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture(scope="session")
def modules() -> list[Module]:
    """Every module of ``node`` and ``network``, parsed."""
    found = parse(project_files(ROOT, ("node", "network")))
    assert len(found) > 40, "the sources were not found"
    return found


@pytest.fixture(scope="session")
def test_modules() -> list[Module]:
    """Every test file, parsed."""
    return parse(project_files(ROOT, ("tests",)))
