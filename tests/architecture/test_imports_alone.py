"""Every module imports alone in a fresh interpreter: none needs another one to have been imported before."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from source_tree import Module

# One fresh interpreter; a forked child for each module, so the start of the interpreter is paid once.
_DRIVER = """
import importlib, json, os, sys, traceback
root, names, roots = sys.argv[1], json.loads(sys.argv[2]), tuple(json.loads(sys.argv[3]))
sys.path.insert(0, root)
for name in ("asyncio", "dataclasses", "typing", "contextlib", "json", *json.loads(sys.argv[4])):
    try:
        importlib.import_module(name)  # shared by all children: nothing of ours is loaded before the fork
    except ImportError:
        pass
failed = {}
for name in names:
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        report = ""
        try:
            assert not [m for m in sys.modules if m.split(".")[0] in roots]
            importlib.import_module(name)
        except BaseException:
            report = traceback.format_exc()
        os.write(writer, report[-4000:].encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        report = pipe.read().decode()
    os.waitpid(child, 0)
    if report:
        failed[name] = report
print(json.dumps(failed))
"""

_SHARED = ("aiohttp.web", "click", "coincurve", "cryptography", "gmpy2", "lmdb", "msgpack", "orjson")


def import_each_alone(root: Path, names: list[str], roots: tuple[str, ...], shared: tuple[str, ...]) -> dict[str, str]:
    """Module name to traceback, of those that failed."""
    arguments = [str(root), json.dumps(names), json.dumps(roots), json.dumps(shared)]
    run = subprocess.run(
        [sys.executable, "-W", "error::SyntaxWarning", "-c", _DRIVER, *arguments],
        capture_output=True,
        text=True,
        check=True,
        cwd=root,
        timeout=110,
    )
    failed: dict[str, str] = json.loads(run.stdout.splitlines()[-1])
    return failed


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")


@needs_fork
def test_every_module_imports_alone(root: Path, modules: list[Module]) -> None:
    assert import_each_alone(root, [m.name for m in modules], ("node", "network"), _SHARED) == {}


@needs_fork
def test_a_module_that_needs_another_first_is_seen(tmp_path: Path) -> None:
    package = tmp_path / "planted"
    package.mkdir()
    (package / "__init__.py").write_text('"""x"""')
    (package / "first.py").write_text("from planted.second import B\nA = 1\n")
    (package / "second.py").write_text(
        "import sys\nB = 1\nassert 'planted.first' in sys.modules, 'first comes first'\n"
    )
    (package / "third.py").write_text("from planted.fourth import D\nC = 1\n")
    (package / "fourth.py").write_text("from planted.third import C\nD = 1\n")
    names = ["planted", "planted.first", "planted.second", "planted.third", "planted.fourth"]
    failed = import_each_alone(tmp_path, names, ("planted",), ())
    assert sorted(failed) == ["planted.fourth", "planted.second", "planted.third"]
    assert "first comes first" in failed["planted.second"]
    assert "circular import" in failed["planted.third"]
