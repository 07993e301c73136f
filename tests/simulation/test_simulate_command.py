"""evmesh simulate and evmesh replay: seeds, plans, failure files that come again and get smaller."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from network.__main__ import run
from network.simulator.runs import FailureFile
from node.consensus.pos.protection import SlashingProtection
from node.consensus.validators import ValidatorSet

ROOT = Path(__file__).parents[2]


def simulate(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = run(["simulate", *words])
    told = capsys.readouterr()
    return code, told.out, told.err


@pytest.mark.parametrize("engine", ["bft", "pos"])
def test_a_seed_is_one_line_with_its_hash(engine: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    trace = tmp_path / "trace.txt"
    words = ("--seed", "7", "--nodes", "4", "--until", "20s", "--engine", engine)
    code, out, err = simulate(capsys, *words, "--trace", str(trace))
    assert (code, err) == (0, "")
    assert out.startswith(f"seed 7  {engine}  4 nodes")
    assert len(trace.read_text().splitlines()) > 100
    assert simulate(capsys, *words) == (0, out, "")
    assert simulate(capsys, "--seed", "8", *words[2:])[1].split()[-1] != out.split()[-1]


@pytest.mark.parametrize("engine", ["bft", "pos"])
def test_the_same_bytes_in_every_process(engine: str) -> None:
    code = (
        "from network.simulator.choosing import chosen_scenario\n"
        "from network.simulator.runs import run\n"
        f"print([run(1, chosen_scenario('{engine}', 1, seed, None, 12_000, None)).trace_hash for seed in range(6)])"
    )
    answers = [
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "12345")
    ]
    assert answers[0] == answers[1]
    assert answers[0].count("'") == 12


def test_seeds_in_several_processes_are_told_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--nodes", "4", "--until", "5s", "--json")
    code, out, _ = simulate(capsys, "--seeds", "3..8", "--jobs", "2", *words)
    assert code == 0
    records = [json.loads(line) for line in out.splitlines()]
    assert [record["seed"] for record in records] == [3, 4, 5, 6, 7, 8]
    alone = simulate(capsys, "--seed", "5", *words)[1]
    assert json.loads(alone)["trace_hash"] == records[2]["trace_hash"]


def test_a_plan_says_what_happens_when(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    plan, trace = tmp_path / "plan.toml", tmp_path / "trace.txt"
    plan.write_text(
        '[[faults]]\nat_ms = 3000\nkind = "partition"\ntargets = ["n0", "n1"]\nuntil_ms = 9000\n\n'
        '[[faults]]\nat_ms = 4000\nkind = "crash"\ntargets = ["n3"]\nuntil_ms = 6000\n'
    )
    code, out, _ = simulate(capsys, "--plan", str(plan), "--trace", str(trace))
    assert code == 0
    assert "4 nodes  2 faults" in out
    assert "too short" not in out
    lines = trace.read_text().splitlines()
    assert "3000  fault 3.0 s..9.0 s partition n0,n1" in lines
    assert "4000  fault 4.0 s..6.0 s crash n3" in lines
    assert "6000 n3 boot 2" in lines


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--seeds", "9"], "write it like 0..999"),
        (["--seeds", "9..3"], "nothing lies between"),
        (["--seeds", "0..1", "--trace", "x"], "use --seed"),
        (["--until", "soon"], "not a duration"),
        (["--plan", "missing.json"], "missing.json"),
        (["--engine", "pow"], "'pow' is not one of"),
        (["--out", "x", "--nodes", "0"], "0 is not in the range"),
    ],
)
def test_what_cannot_be_used_is_said(capsys: pytest.CaptureFixture[str], words: list[str], told: str) -> None:
    code, _, err = simulate(capsys, *words)
    assert code == 2
    assert told in err


def test_a_plan_for_a_node_that_is_not_there(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    plan = tmp_path / "plan.json"
    plan.write_text('{"faults": [{"at_ms": 1, "kind": "crash", "targets": ["n4"]}]}')
    code, _, err = simulate(capsys, "--plan", str(plan))
    assert code == 2
    assert "fault 1 (crash): there is no node 'n4'" in err


def _quorum_of_half(self: ValidatorSet, weight: int) -> bool:
    return 2 * weight >= self.total_weight


def _quorum_of_a_fifth(self: ValidatorSet, weight: int) -> bool:
    """Either half is one, whatever weights the run's transactions give."""
    return 5 * weight >= self.total_weight


@pytest.mark.parametrize(
    ("engine", "kind", "owner", "name", "bug"),
    [
        ("bft", "unaccountable fork", ValidatorSet, "is_quorum", _quorum_of_a_fifth),
        ("pos", "self-incrimination", SlashingProtection, "refusal", lambda self, draft: ""),
    ],
)
def test_a_planted_bug_leaves_a_file_that_replays_and_shrinks(
    engine: str,
    kind: str,
    owner: type,
    name: str,
    bug: object,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plan = tmp_path / "plan.json"
    halves = {"at_ms": 3000, "kind": "partition", "targets": ["n0", "n1"], "until_ms": 15_000}
    pauses = [{"at_ms": 1000 * at, "kind": "pause", "targets": ["n3"], "until_ms": 1000 * at + 500} for at in range(4)]
    plan.write_text(json.dumps({"faults": [halves, *pauses]}))
    chosen = ("--plan", str(plan)) if engine == "bft" else ("--seeds", "0..40", "--nodes", "4")
    with monkeypatch.context() as planted:
        planted.setattr(owner, name, bug)
        code, out, err = simulate(capsys, *chosen, "--until", "30s", "--engine", engine, "--out", str(tmp_path))
        assert code == 3
        assert kind in err
        files = sorted(tmp_path.glob(f"evmesh-failure-{engine}-*.json"))
        found = {file: FailureFile.read(file) for file in files}
        path = next(file for file, failure in found.items() if failure.violation.kind == kind)
        failure = found[path]
        assert f"BROKEN: {kind}  {failure.trace_hash}" in out
        assert run(["replay", str(path)]) == 3
        assert f"the same run, byte for byte: trace {failure.trace_hash}" in capsys.readouterr().out
        assert run(["replay", str(path), "--shrink", "--runs", "60"]) == 3
        told = capsys.readouterr().out
        small = FailureFile.read(path.with_suffix(".small.json"))
        assert small.violation.kind == kind
        assert len(small.scenario.faults.actions) < len(failure.scenario.faults.actions)
        assert small.scenario.until_ms < failure.scenario.until_ms
        assert "written to" in told
        assert run(["replay", str(path.with_suffix(".small.json"))]) == 3
        assert small.trace_hash in capsys.readouterr().out
    assert run(["replay", str(path)]) == 0, "without the bug the run breaks nothing"
    assert "another run than then" in capsys.readouterr().out


def test_whole_nodes_that_fail_leave_a_file_that_replays_and_shrinks(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = tmp_path / "plan.json"
    cut = {"at_ms": 3000, "kind": "partition", "targets": ["n0", "n1"], "until_ms": 15_000}
    pause = {"at_ms": 2000, "kind": "pause", "targets": ["n3"], "until_ms": 2500}
    plan.write_text(json.dumps({"faults": [pause, cut]}))
    words = ("--plan", str(plan), "--level", "2", "--engine", "bft", "--until", "20s", "--out", str(tmp_path))
    with monkeypatch.context() as planted:
        planted.setattr(ValidatorSet, "is_quorum", _quorum_of_half)
        code, out, err = simulate(capsys, *words)
        assert code == 3, err
        assert "BROKEN: agreement" in out
        path = tmp_path / "evmesh-failure-bft-0.json"
        failure = FailureFile.read(path)
        assert failure.trace_hash in out
        assert run(["replay", str(path), "--shrink", "--runs", "12"]) == 3
        assert f"the same run, byte for byte: trace {failure.trace_hash}" in capsys.readouterr().out
        small = FailureFile.read(path.with_suffix(".small.json"))
        assert [action.kind for action in small.scenario.faults.actions] == ["partition"]
    assert simulate(capsys, *words)[0] == 0


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{}", "no failing run of evmesh"),
        ("[", "unexpected end of data"),
        ('{"format": 1}', "violation: expected an object"),
        ('{"format": 1, "violation": {}, "level": 3}', "level: expected 1 or 2"),
        ('{"format": 1, "violation": {}, "level": 1, "scenario": {"nodse": 4}}', "did you mean nodes?"),
        ('{"format": 1, "violation": {}, "level": 1, "scenario": {"nodes": true}}', "nodes: expected a whole number"),
        ('{"format": 1, "violation": {}, "level": 1, "scenario": {"nodes": 1000}}', "1000 is not in 1..128"),
        ('{"format": 1, "violation": {}, "level": 1, "scenario": {"weights": [1]}}', "weights: expected 4 numbers"),
        ('{"format": 1, "violation": {}, "level": 1, "scenario": {"engine": "x"}}', "there is no engine 'x'"),
    ],
)
def test_a_file_that_is_no_failing_run(
    content: str, told: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "bad.json"
    path.write_text(content)
    assert run(["replay", str(path)]) == 2
    err = capsys.readouterr().err
    assert "bad.json" in err
    assert told in err
