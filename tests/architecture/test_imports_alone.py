"""Every module imports alone in a fresh interpreter: none needs another one to have been imported before.

One interpreter does for all. A module is executed in a process that holds, of our own code, exactly what the module's
imports would have loaded; those were executed before it in the same way, once each, instead of once for every module
that stands on them. Members of a circle find nothing prepared, and fail as they would in a process of their own.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from source_tree import Module, imports_of, parse, project_files

_DRIVER = """
import importlib, json, sys, traceback
root, needs = sys.argv[1], json.load(sys.stdin)  # too much for an argument
sys.path.insert(0, root)
loaded, failed = {}, {}

def forget_ours():
    for name in needs:
        sys.modules.pop(name, None)
        parent, _, child = name.rpartition(".")
        if parent in loaded:
            vars(loaded[parent]).pop(child, None)

def prepare(names):
    for name in names:
        if name in loaded:
            sys.modules[name] = loaded[name]
            parent, _, child = name.rpartition(".")
            if parent in loaded:
                setattr(loaded[parent], child, loaded[name])

for name in sorted(needs, key=lambda name: len(needs[name])):
    forget_ours()
    prepare(needs[name])
    try:
        loaded[name] = importlib.import_module(name)
    except BaseException:
        failed[name] = traceback.format_exc()[-4000:]
print(json.dumps(failed))
"""


def needs_of(modules: list[Module]) -> dict[str, list[str]]:
    """All that importing a module executes before it, shortest needs first; without the circles it stands in."""
    known = frozenset(module.name for module in modules)
    direct: dict[str, list[str]] = {}
    for module in modules:
        parts = module.name.split(".")
        packages = [".".join(parts[:length]) for length in range(1, len(parts))]
        for found in imports_of(module, known):
            if found.top_level:
                above = found.target.split(".")
                packages += [".".join(above[:length]) for length in range(1, len(above) + 1)]
        direct[module.name] = [name for name in dict.fromkeys(packages) if name in known and name != module.name]

    def closure(name: str) -> dict[str, None]:
        reached: dict[str, None] = {}
        left = list(direct[name])
        while left:
            other = left.pop()
            if other not in reached:
                reached[other] = None
                left.extend(direct[other])
        return reached

    closures = {name: closure(name) for name in direct}
    return {
        name: sorted(
            (other for other in reached if name not in closures[other]), key=lambda other: len(closures[other])
        )
        for name, reached in closures.items()
    }


def import_each_alone(root: Path, needs: Mapping[str, list[str]]) -> dict[str, str]:
    """Module name to traceback, of those that failed."""
    run = subprocess.run(
        [sys.executable, "-W", "error::SyntaxWarning", "-c", _DRIVER, str(root)],
        input=json.dumps(needs),
        capture_output=True,
        text=True,
        check=True,
        cwd=root,
        timeout=110,
    )
    failed: dict[str, str] = json.loads(run.stdout.splitlines()[-1])
    return failed


def test_every_module_imports_alone(root: Path, modules: list[Module]) -> None:
    failed = import_each_alone(root, needs_of(modules))
    assert [f"{name}: {report.splitlines()[-1]}" for name, report in failed.items()] == []


@pytest.mark.parametrize("name", ["node.node", "network.simulator.simulation", "node.evm.interpreter"])
def test_the_tallest_import_in_processes_of_their_own(root: Path, name: str) -> None:
    run = subprocess.run(
        [sys.executable, "-c", f"import {name}"], capture_output=True, text=True, cwd=root, timeout=110
    )
    assert run.returncode == 0, run.stderr


def test_a_module_that_needs_another_first_is_seen(tmp_path: Path) -> None:
    planted = {
        "__init__": '"""x"""\n',
        "first": "from planted.second import B\nA = 1\n",
        "second": "import sys\nB = 1\nassert 'planted.first' in sys.modules, 'first comes first'\n",
        "third": "from planted.fourth import D\nC = 1\n",
        "fourth": "from planted.third import C\nD = 1\n",
        "fifth": "import planted\nE = planted.sixth.F\n",
        "sixth": "F = 1\n",
        "seventh": "import planted.sixth\nfrom planted import eighth\nG = planted.sixth.F + eighth.H\n",
        "eighth": "import planted.sixth as sixth\nH = sixth.F\n",
    }
    (tmp_path / "planted").mkdir()
    for name, text in planted.items():
        (tmp_path / "planted" / f"{name}.py").write_text(text)
    failed = import_each_alone(tmp_path, needs_of(parse(project_files(tmp_path, ("planted",)))))
    assert sorted(failed) == ["planted.fifth", "planted.fourth", "planted.second", "planted.third"]
    assert "first comes first" in failed["planted.second"]
    assert "circular import" in failed["planted.third"]
    assert "has no attribute 'sixth'" in failed["planted.fifth"]
