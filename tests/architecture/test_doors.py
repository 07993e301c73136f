"""Time, chance, sockets and threads come in by node/runtime alone; rpc/server.py and web listen through aiohttp."""

from __future__ import annotations

import ast

import pytest
from source_tree import Module, dotted, imports_of, parse

OUTSIDE_MODULES = (
    "time",
    "random",
    "secrets",
    "uuid",
    "socket",
    "socketserver",
    "select",
    "selectors",
    "ssl",
    "http",
    "urllib.request",
    "threading",
    "multiprocessing",
    "concurrent",
    "queue",
    "subprocess",
    "signal",
    "numpy.random",
    "Crypto.Random",
    "aiohttp",
)
"""Modules that reach the outside world, or give another answer in another run."""

OUTSIDE_NAMES = (
    "os.urandom",
    "os.getrandom",
    "os.fork",
    "os.system",
    "os.times",
    "datetime.now",
    "datetime.utcnow",
    "datetime.today",
    "datetime.datetime.now",
    "datetime.datetime.utcnow",
    "datetime.datetime.today",
    "datetime.date.today",
    "date.today",
    "asyncio.open_connection",
    "asyncio.open_unix_connection",
    "asyncio.start_server",
    "asyncio.start_unix_server",
    "asyncio.to_thread",
    "asyncio.TaskGroup",
    "asyncio.wait",
    "asyncio.as_completed",
    "asyncio.run_coroutine_threadsafe",
    "asyncio.create_subprocess_exec",
    "asyncio.create_subprocess_shell",
)

OUTSIDE_METHODS = (
    "run_in_executor",
    "create_server",
    "create_connection",
    "create_datagram_endpoint",
    "sock_connect",
    "sock_recv",
    "add_reader",
    "add_writer",
)

ALLOWED: dict[tuple[str, str], str] = {
    ("node.rpc.server", "aiohttp"): "the HTTP and WebSocket listener",
    ("node.rpc.websocket", "aiohttp"): "the WebSocket half of the listener",
    ("node.web.routes", "aiohttp"): "static pages mounted on that listener",
    ("node.storage.lmdb_database", "threading"): "a lock: readers on any thread while the map grows under them",
    ("node.__main__", "signal"): "SIGTERM and SIGINT end the process",
}


def _matches(name: str, banned: tuple[str, ...]) -> str:
    for entry in banned:
        if name == entry or name.startswith(entry + "."):
            return entry
    return ""


def beside_the_doors(modules: list[Module]) -> list[str]:
    """Uses of the outside world in node, away from node/runtime."""
    known = frozenset(module.name for module in modules)
    wrong = []
    for module in modules:
        if not module.name.startswith("node.") or module.room == "node.runtime":
            continue
        for found in imports_of(module, known):
            entry = _matches(found.target, OUTSIDE_MODULES)
            if entry and (module.name, entry) not in ALLOWED:
                wrong.append(f"{module.path}:{found.line} imports {found.target}")
        for node in ast.walk(module.tree):
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            elif isinstance(node, ast.Attribute):
                names = [dotted(node)]
                if node.attr in OUTSIDE_METHODS:
                    wrong.append(f"{module.path}:{node.lineno} uses .{node.attr}")
            else:
                continue
            for name in names:
                if name in OUTSIDE_NAMES and (module.name, name) not in ALLOWED:
                    wrong.append(f"{module.path}:{node.lineno} uses {name}")
    return wrong


def unordered_loops(modules: list[Module]) -> list[str]:
    """Loops straight over a set: their order follows hash seeds and addresses."""
    wrong = []
    for module in modules:
        if not module.name.startswith("node."):
            continue
        for node in ast.walk(module.tree):
            sources: list[ast.expr] = []
            if isinstance(node, ast.For | ast.AsyncFor):
                sources = [node.iter]
            elif isinstance(node, ast.ListComp | ast.GeneratorExp | ast.DictComp):
                sources = [generator.iter for generator in node.generators]
            elif isinstance(node, ast.Call) and dotted(node.func) in ("list", "tuple", "enumerate", "iter", "next"):
                sources = node.args[:1]
            for source in sources:
                built = isinstance(source, ast.Call) and dotted(source.func) in ("set", "frozenset")
                if built or isinstance(source, ast.Set | ast.SetComp):
                    wrong.append(f"{module.path}:{source.lineno} walks over a set")
    return wrong


def test_the_outside_world_comes_in_by_the_doors(modules: list[Module]) -> None:
    assert beside_the_doors(modules) == []


def test_no_loop_over_a_set(modules: list[Module]) -> None:
    assert unordered_loops(modules) == []


@pytest.mark.parametrize(
    "text",
    [
        "import time",
        "from time import monotonic",
        "import random",
        "from random import Random",
        "import secrets",
        "import socket",
        "import threading",
        "from concurrent.futures import ThreadPoolExecutor",
        "import os\nx = os.urandom(3)",
        "from os import urandom",
        "import datetime\nx = datetime.datetime.now()",
        "from datetime import datetime\nx = datetime.now()",
        "import asyncio\nx = asyncio.start_server(f)",
        "from asyncio import TaskGroup",
        "import asyncio\nx = asyncio.wait([])",
        "def f(loop):\n    return loop.run_in_executor(None, f)",
        "from Crypto.Random import get_random_bytes",
        "import aiohttp",
        "from aiohttp import web",
    ],
)
def test_a_side_entrance_is_seen(text: str) -> None:
    assert beside_the_doors(parse({"node/chain/a.py": text}))
    assert beside_the_doors(parse({"node/runtime/a.py": text})) == []
    assert beside_the_doors(parse({"network/a.py": text})) == []


def test_what_stays_allowed() -> None:
    text = (
        "import asyncio\nimport os\nx = asyncio.sleep(1)\ny = asyncio.Queue(3)\nz = os.fsync(4)\nw = asyncio.wait_for"
    )
    assert beside_the_doors(parse({"node/chain/a.py": text, "node/rpc/server.py": "from aiohttp import web"})) == []


@pytest.mark.parametrize(
    "text",
    [
        "for x in {1, 2}:\n    pass",
        "for x in set(y):\n    pass",
        "z = [x for x in frozenset(y)]",
        "z = list({x for x in y})",
        "z = next(iter(set(y)))",
    ],
)
def test_a_loop_over_a_set_is_seen(text: str) -> None:
    assert unordered_loops(parse({"node/chain/a.py": text}))


def test_ordered_loops_are_quiet() -> None:
    text = "for x in sorted({1, 2}):\n    pass\nz = 3 in {1, 2}\nfor y in dict.fromkeys(a):\n    pass"
    assert unordered_loops(parse({"node/chain/a.py": text})) == []
