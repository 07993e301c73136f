"""``evmesh forkchoice``: exit codes, words, and files that nobody vouches for."""

from __future__ import annotations

import json
import lzma
import random
from pathlib import Path
from typing import Any

import pytest

from network.__main__ import run

G, A, B = "00" * 31 + "01", "aa" * 32, "bb" * 32
ZERO = [[0, G], [0, G]]
NONE = "00" * 32


def case(expected_head: str = B) -> dict[str, Any]:
    return {
        "name": "two children",
        "slots_per_epoch": 8,
        "anchor": [G, 0, [0, G], [0, G]],
        "events": [
            ["tick", 2],
            ["bal", [[0, 10], [1, 10]], 4],
            ["block", A, G, 1, ZERO, ZERO, False],
            ["badblock", "cc" * 32, 1],
            ["block", B, G, 1, ZERO, ZERO, False],
            ["exp", expected_head, [0, G], [0, G], NONE],
            ["vote", [0], A, 0],
            ["exp", A, [0, G], [0, G], NONE],
            ["equiv", [0]],
            ["exp", B, [0, G], [0, G], NONE],
        ],
    }


def written(path: Path, content: object) -> str:
    data = json.dumps(content).encode()
    path.write_bytes(lzma.compress(data) if path.suffix == ".xz" else data)
    return str(path)


@pytest.mark.parametrize("name", ["cases.json", "cases.json.xz"])
def test_all_passed(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    assert run(["forkchoice", written(tmp_path / name, [case()]), "--verbose"]) == 0
    out = capsys.readouterr().out
    assert "ok     two children: 12 passed" in out
    assert "1 of 1 cases passed; 12 checks passed, 0 failed" in out


def test_a_difference_in_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path / "cases.json", [case(), case(A)])
    assert run(["forkchoice", path]) == 1
    out = capsys.readouterr().out
    assert f"first difference: events[5] at slot 2: head is {B}, expected {A}" in out
    assert run(["forkchoice", path, "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert (document["cases_failed"], document["checks_passed"], document["checks_failed"]) == (1, 23, 1)
    assert document["cases"][0]["difference"] is None


def test_a_block_the_store_refuses_is_a_difference(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = case()
    broken["events"][4][2] = "dd" * 32
    assert run(["forkchoice", written(tmp_path / "cases.json", [broken])]) == 1
    assert "refused, its parent is not known" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ([{**case(), "events": [["what", 1]]}], "no event is called 'what'"),
        ([{**case(), "events": [["tick", -1]]}], "events[0].slot: expected a whole number"),
        ([{**case(), "events": [["exp", "zz" * 32, [0, G], [0, G], NONE]]}], "expected 64 hex digits"),
        ([{**case(), "anchor": [G, 0, [0, A], [0, G]]}], "must name its own root"),
        ([], "expected a list of cases"),
    ],
)
def test_bad_files_get_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], content: object, why: str) -> None:
    assert run(["forkchoice", written(tmp_path / "cases.json", content)]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert why in lines[0]


def test_changed_files_never_crash(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    draw = random.Random(3)
    junk: list[Any] = [None, True, -1, 2**70, 1.5, "x", G, A, [], {}, [[]], 3, 2**62]

    def mutate(value: Any) -> Any:
        if draw.random() < 0.02:
            return draw.choice(junk)
        if isinstance(value, list):
            changed = [mutate(item) for item in value]
            if changed and draw.random() < 0.03:
                changed.insert(draw.randrange(len(changed)), draw.choice(changed))
            return changed
        return {key: mutate(item) for key, item in value.items()} if isinstance(value, dict) else value

    codes = {run(["forkchoice", written(tmp_path / "cases.json", [mutate(case())])]) for _ in range(300)}
    capsys.readouterr()
    assert codes == {0, 1, 2}
    good = Path(written(tmp_path / "good.json.xz", [case()])).read_bytes()
    for cut in range(0, len(good), 7):
        (tmp_path / "cut.json.xz").write_bytes(good[:cut])
        assert run(["forkchoice", str(tmp_path / "cut.json.xz")]) == 2
    capsys.readouterr()
