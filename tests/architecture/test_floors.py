"""Imports go down the floors only; no circles; no import hidden in a function or under TYPE_CHECKING."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from source_tree import Module, imports_of, parse

FLOORS = {
    "primitives": 1,
    "runtime": 1,
    "crypto": 2,
    "storage": 2,
    "telemetry": 2,
    "trie": 3,
    "p2p": 3,
    "types": 4,
    "evm": 5,
    "state": 5,
    "forks": 6,
    "execution": 6,
    "chain": 7,
    "txpool": 7,
    "consensus": 8,
    "protocols": 9,
    "rpc": 9,
    "web": 9,
}
ROOF = 10
ROOF_FILES = (
    "node.node",
    "node.config",
    "node.datadir",
    "node.joining",
    "node.keys",
    "node.pool_follows",
    "node.__main__",
)
LEAVES = ("node.config", "node.keys")
"""Leaves of the roof: only the roof and network import them."""

FEW_GUESTS = {
    "node.forks": ("node.chain",),
    "node.p2p": ("node.consensus.driver", "node.protocols", "node.rpc"),
}
"""Rooms that only these (and the roof) may import."""

LAZY_IMPORTS: dict[tuple[str, str], str] = {
    # (module, imported package): why it does not stand at the top
    ("node.crypto.hashes", "sha3"): "the one backend switch: the fast Keccak where it is installed",
    ("node.crypto.hashes", "Crypto.Hash"): "the one backend switch: the Keccak that is always there",
    ("node.crypto.bls12_381", "py_arkworks_bls12381"): "few blocks use these precompiles; start-up need not pay",
    (
        "node.crypto.bn254",
        "node.crypto.mcl_library",
    ): "its C library takes long to load, and few blocks use these precompiles",
    ("node.crypto.p256", "cryptography"): "few blocks use this precompile; start-up need not pay",
    ("node.evm.precompiles.modexp", "gmpy2"): "few blocks use this precompile; start-up need not pay",
    ("node.telemetry.metrics", "prometheus_client"): "metrics cost nothing until they are scraped",
    ("network.cli.output", "rich"): "a command that prints JSON need not pay for tables",
    ("network.evmesh", "network.lab"): "processes and simulator are two big rooms, and a program uses one of them",
    ("network.lab.web3_door", "web3"): "not a dependency: only who asks for it needs it, and it takes long to load",
    ("network.pytest_plugin", "network"): "pytest loads the plugin in every run, with networks or without",
    ("network.load.contracts", "difflib"): "only a name that is mistyped needs it",
    ("network.provision", "node.chain.genesis"): "only writing a genesis file needs the state it loads",
}

COMMANDS = "network.cli"
"""A command may load what only it needs, so that the others start fast: with a comment at the import that says so."""


def floor_of(room: str) -> int | None:
    """The floor of a room under node, the roof for the files directly under it."""
    if room in ROOF_FILES or room == "node":
        return ROOF
    return FLOORS.get(room.removeprefix("node."))


def room_of(name: str) -> str:
    """``node.evm`` for anything inside it."""
    return ".".join(name.split(".")[:2])


def _inside(name: str, places: tuple[str, ...]) -> bool:
    return any(name == place or name.startswith(place + ".") for place in places)


def against_the_floors(modules: list[Module]) -> list[str]:
    """Imports that go up, sideways, out of the house, or into a room that receives few guests."""
    known = frozenset(module.name for module in modules)
    wrong = []
    for module in modules:
        if not _inside(module.name, ("node",)):
            continue
        floor = floor_of(module.room)
        if floor is None:
            wrong.append(f"{module.path}: room {module.room} has no floor")
            continue
        for found in imports_of(module, known):
            place = f"{module.path}:{found.line} imports {found.target}"
            if found.target.startswith("."):
                wrong.append(f"{place}: relative")
            if _inside(found.target, ("network",)):
                wrong.append(f"{place}: node never imports network")
            if not _inside(found.target, ("node",)) or found.target == "node":
                continue
            room = room_of(found.target)
            below = floor_of(room)
            inside_the_roof = room in ROOF_FILES and module.room in ROOF_FILES
            if room != module.room and not inside_the_roof and (below is None or below >= floor):
                wrong.append(f"{place}: floor {floor} to floor {below}")
            if floor != ROOF and room in FEW_GUESTS and room != module.room:
                guests = FEW_GUESTS[room]
                if not _inside(module.name, guests):
                    wrong.append(f"{place}: only {', '.join(guests)} and the roof may")
            if room in LEAVES and module.room not in ROOF_FILES:
                wrong.append(f"{place}: only the roof may")
    return wrong


def hidden_imports(modules: list[Module], allowed: Mapping[tuple[str, str], str]) -> list[str]:
    """Imports anywhere but in the module's body: in functions, under TYPE_CHECKING, in try blocks."""
    known = frozenset(module.name for module in modules)
    wrong = []
    for module in modules:
        lines = module.text.splitlines()
        for found in imports_of(module, known):
            if found.top_level:
                continue
            listed = any(module.name == place and _inside(found.target, (package,)) for place, package in allowed)
            before = lines[found.line - 2] if found.line > 1 else ""
            explained = "  # " in lines[found.line - 1] or before.lstrip().startswith("#")
            if not listed and not (_inside(module.name, (COMMANDS,)) and explained):
                wrong.append(f"{module.path}:{found.line} imports {found.target} away from the top")
    return wrong


def hidden_imports_of(modules: list[Module], place: str, package: str) -> list[str]:
    """What one line of the allow-list excuses."""
    chosen = [module for module in modules if module.name == place]
    return [line for line in hidden_imports(chosen, {}) if f"imports {package}" in line]


def circles(edges: Mapping[str, list[str]]) -> list[list[str]]:
    """Strongly connected sets of more than one node (Tarjan, without recursion)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    on_stack: dict[str, bool] = {}
    found = []
    for start in edges:
        if start in index:
            continue
        work = [(start, iter(edges[start]))]
        index[start] = low[start] = len(index)
        stack.append(start)
        on_stack[start] = True
        while work:
            name, successors = work[-1]
            for successor in successors:
                if successor not in index:
                    index[successor] = low[successor] = len(index)
                    stack.append(successor)
                    on_stack[successor] = True
                    work.append((successor, iter(edges.get(successor, []))))
                    break
                if on_stack.get(successor):
                    low[name] = min(low[name], index[successor])
            else:
                work.pop()
                if work:
                    parent = work[-1][0]
                    low[parent] = min(low[parent], low[name])
                if low[name] == index[name]:
                    members = []
                    while True:
                        member = stack.pop()
                        on_stack[member] = False
                        members.append(member)
                        if member == name:
                            break
                    if len(members) > 1:
                        found.append(sorted(members))
    return found


def file_circles(modules: list[Module]) -> list[list[str]]:
    """Circles between files."""
    known = frozenset(module.name for module in modules)
    edges = {
        module.name: [
            found.target for found in imports_of(module, known) if found.target in known and found.target != module.name
        ]
        for module in modules
    }
    return circles(edges)


def folder_circles(modules: list[Module]) -> list[list[str]]:
    """Circles between rooms."""
    known = frozenset(module.name for module in modules)
    edges: dict[str, list[str]] = {}
    for module in modules:
        targets = edges.setdefault(module.room, [])
        for found in imports_of(module, known):
            if found.target in known and room_of(found.target) != module.room and "." in found.target:
                targets.append(room_of(found.target))
    return circles(edges)


def test_imports_go_down(modules: list[Module]) -> None:
    assert against_the_floors(modules) == []


def test_no_hidden_import(modules: list[Module]) -> None:
    assert hidden_imports(modules, LAZY_IMPORTS) == []


def test_lazy_imports_are_still_there(modules: list[Module]) -> None:
    """The allow-list holds nothing that has gone."""
    unused = [entry for entry in LAZY_IMPORTS if not hidden_imports_of(modules, *entry)]
    assert unused == []


def test_no_circle_between_files(modules: list[Module]) -> None:
    assert file_circles(modules) == []


def test_no_circle_between_folders(modules: list[Module]) -> None:
    assert folder_circles(modules) == []


def test_every_room_has_a_floor(modules: list[Module]) -> None:
    rooms = {module.room: None for module in modules if module.is_package and module.room.startswith("node.")}
    assert [room for room in rooms if floor_of(room) is None] == []


@pytest.mark.parametrize(
    ("path", "text", "complaint"),
    [
        ("node/evm/a.py", "from node.state.journal import X", "floor 5 to floor 5"),
        ("node/types/a.py", "import node.chain.chain", "floor 4 to floor 7"),
        ("node/rpc/a.py", "from node.protocols.sync import X", "floor 9 to floor 9"),
        ("node/rpc/a.py", "def f():\n    from node.web.routes import X", "floor 9 to floor 9"),
        ("node/chain/a.py", "from node.node import Node", "floor 7 to floor 10"),
        ("node/chain/a.py", "from network.client import Client", "node never imports network"),
        ("node/__main__.py", "import network", "node never imports network"),
        ("node/evm/a.py", "from .gas import X", "relative"),
        ("node/rpc/a.py", "from node.forks.schedule import X", "only node.chain"),
        ("node/txpool/a.py", "from node.p2p.switch import Switch", "only node.consensus.driver"),
        ("node/rpc/a.py", "from node.config import NodeConfig", "only the roof"),
        ("node/cellar/a.py", "", "has no floor"),
    ],
)
def test_a_wrong_import_is_seen(path: str, text: str, complaint: str) -> None:
    assert any(complaint in line for line in against_the_floors(parse({path: text})))


def test_right_imports_are_quiet() -> None:
    planted = {
        "node/chain/chain.py": "from node.forks.schedule import X\nfrom node.chain.feed import Feed\nimport asyncio",
        "node/node.py": "from node.config import NodeConfig\nfrom node.rpc.server import Server",
        "node/consensus/driver.py": "from node.p2p.switch import Switch",
        "network/client.py": "from node.node import Node",
    }
    assert against_the_floors(parse(planted)) == []


@pytest.mark.parametrize(
    "text",
    [
        "def f():\n    import node.a",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from node.a import B",
        "try:\n    import lmdb\nexcept ImportError:\n    lmdb = None",
        "class A:\n    import json",
    ],
)
def test_a_hidden_import_is_seen(text: str) -> None:
    assert len(hidden_imports(parse({"node/evm/a.py": text}), {})) == 1


def test_the_allow_list_excuses() -> None:
    planted = parse({"node/evm/a.py": "def f():\n    import llvmlite"})
    assert hidden_imports(planted, {("node.evm.a", "llvmlite"): "a second of start-up"}) == []


def test_a_command_explains_what_it_loads_late() -> None:
    told = "def f():\n    import rich  # only tables need it\n"
    assert hidden_imports(parse({"network/cli/a.py": told}), {}) == []
    assert hidden_imports(parse({"network/client.py": told, "network/cli/b.py": "def f():\n    import rich"}), {}) == [
        "network/client.py:2 imports rich away from the top",
        "network/cli/b.py:2 imports rich away from the top",
    ]


def test_circles_are_seen() -> None:
    planted = parse(
        {
            "node/evm/__init__.py": '"""x"""',
            "node/evm/a.py": "from node.evm.b import B",
            "node/evm/b.py": "from node.evm import c",
            "node/evm/c.py": "import node.evm.a",
            "node/evm/d.py": "from node.evm.a import A",
            "network/x/p.py": "from network.y.q import Q",
            "network/y/q.py": "",
            "network/y/r.py": "from network.x.s import S",
            "network/x/s.py": "",
        }
    )
    assert file_circles(planted) == [["node.evm.a", "node.evm.b", "node.evm.c"]]
    assert folder_circles(planted) == [["network.x", "network.y"]]
