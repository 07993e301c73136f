"""``async def`` appears only at the rim: the middle of the house is plain functions."""

from __future__ import annotations

import ast

import pytest
from source_tree import Module, dotted, parse

ASYNC_PLACES = (
    "node.runtime",
    "node.p2p",
    "node.protocols",
    "node.rpc",
    "node.web",
    "node.chain.payloads",
    "node.chain.head",
    "node.chain.chain",
    "node.consensus.driver",
    "node.node",
    "node.datadir",
    "node.joining",
    "node.__main__",
)


def _protocol_members(tree: ast.Module) -> list[int]:
    """Identities of methods declared in Protocol classes: a signature is not behaviour."""
    return [
        id(member)
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
        and any(dotted(b.value if isinstance(b, ast.Subscript) else b).endswith("Protocol") for b in node.bases)
        for member in node.body
    ]


def async_in_the_middle(modules: list[Module]) -> list[str]:
    """Coroutines defined where only plain functions belong."""
    wrong = []
    for module in modules:
        if not module.name.startswith("node."):
            continue
        if any(module.name == place or module.name.startswith(place + ".") for place in ASYNC_PLACES):
            continue
        declared = frozenset(_protocol_members(module.tree))
        for node in ast.walk(module.tree):
            if isinstance(node, ast.AsyncFunctionDef | ast.AsyncFor | ast.AsyncWith) and id(node) not in declared:
                wrong.append(f"{module.path}:{node.lineno} is async")
    return wrong


def test_the_middle_is_plain(modules: list[Module]) -> None:
    assert async_in_the_middle(modules) == []


@pytest.mark.parametrize(
    "path",
    ["node/evm/a.py", "node/chain/store.py", "node/consensus/bft/core.py", "node/txpool/pool.py", "node/config.py"],
)
def test_async_is_seen(path: str) -> None:
    assert async_in_the_middle(parse({path: "async def f():\n    pass"}))
    assert async_in_the_middle(parse({path: "class A:\n    async def f(self):\n        pass"}))


@pytest.mark.parametrize("path", ["node/p2p/peer.py", "node/chain/head.py", "node/consensus/driver.py", "node/node.py"])
def test_async_at_the_rim_is_fine(path: str) -> None:
    assert async_in_the_middle(parse({path: "async def f():\n    pass"})) == []


def test_a_declared_signature_is_fine() -> None:
    text = "from typing import Protocol\n\n\nclass Chain(Protocol):\n    async def new_payload(self) -> None: ...\n"
    assert async_in_the_middle(parse({"node/consensus/engine.py": text})) == []
