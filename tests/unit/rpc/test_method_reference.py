"""The page of methods is what the tables say now."""

from __future__ import annotations

from pathlib import Path

from node.rpc import reference
from node.rpc.methods import combined
from node.rpc.service import TABLES

PAGE = Path(reference.__file__).with_name("METHODS.md")


def test_the_page_is_current() -> None:
    assert PAGE.read_text() == reference.rendered(), "python -m node.rpc.reference > node/rpc/METHODS.md"


def test_every_method_has_words_of_its_own() -> None:
    page = reference.rendered()
    for name, method in combined(TABLES).items():
        assert name in page
        assert method.function.__doc__
