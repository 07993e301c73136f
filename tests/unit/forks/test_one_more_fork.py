"""A fork more is one file and one line of schedule.py: shown with a draft of the next one."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

import node.forks
from node.evm.outcome import Halt, Success
from node.forks import schedule
from tests.unit.evm.program import RETURN_TOP, World, program, push

DRAFTS = Path(__file__).parent / "drafts"
LAST_LINE = '    "bpo2",\n'
NEW_LINE = '    "amsterdam",\n'
TIMES = {"shanghaiTime": 0, "cancunTime": 0, "pragueTime": 0, "osakaTime": 0, "bpo1Time": 10, "bpo2Time": 20}


@pytest.fixture
def extended(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """schedule.py with one line more, beside a folder that has one file more."""
    monkeypatch.setattr(node.forks, "__path__", [*node.forks.__path__, str(DRAFTS)])
    source = Path(str(schedule.__file__)).read_text(encoding="utf-8")
    assert source.count(LAST_LINE) == 1
    spec = importlib.util.spec_from_loader("node.forks.schedule_with_draft", loader=None)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    module.__package__ = "node.forks"
    monkeypatch.setitem(sys.modules, spec.name, module)
    monkeypatch.delitem(sys.modules, "node.forks.amsterdam", raising=False)
    monkeypatch.delattr(node.forks, "amsterdam", raising=False)
    exec(compile(source.replace(LAST_LINE, LAST_LINE + NEW_LINE), "schedule.py", "exec"), module.__dict__)
    monkeypatch.delitem(sys.modules, "node.forks.amsterdam")
    return module


def test_the_schedule_knows_it(extended: ModuleType) -> None:
    plan = extended.ForkSchedule.from_config({**TIMES, "amsterdamTime": 30})
    names = [plan.spec_at(1, time).name for time in (9, 10, 20, 29, 30)]
    assert names == ["Osaka", "BPO1", "BPO2", "BPO2", "Amsterdam"]
    assert extended.ForkSchedule.from_config(plan.to_config()).activations == plan.activations
    assert plan.fork_id(b"\x01" * 32, 0, 25).next == 30
    assert extended.TIMED_FORKS[-4:] == ("bpo3", "bpo4", "bpo5", "amsterdam")
    assert plan.spec_at(1, 30).header_items == 22

    with pytest.raises(extended.ScheduleError, match="amsterdamTime: 15 is before bpo2Time: 20"):
        extended.ForkSchedule.from_config({**TIMES, "amsterdamTime": 15})
    with pytest.raises(extended.ScheduleError, match="amsterdamTime: set, but the fork before it"):
        extended.ForkSchedule.from_config({"shanghaiTime": 0, "amsterdamTime": 15})


def test_its_blob_parameters_can_be_given(extended: ModuleType) -> None:
    given = {"amsterdam": {"target": 1, "max": 2, "baseFeeUpdateFraction": 3}}
    plan = extended.ForkSchedule.from_config({**TIMES, "amsterdamTime": 30, "blobSchedule": given})
    assert plan.spec_at(1, 30).blobs.max == 2
    assert plan.spec_at(1, 29).blobs.max == 21


def test_its_instructions_run_and_only_there(extended: ModuleType) -> None:
    words = [push(value) for value in range(100, 120)]
    code = program(*words, "e600", RETURN_TOP)  # the 17th word from the top of 119, 118, ...
    outcome = World(spec=extended.SPECS_BY_NAME["Amsterdam"]).run(code)
    assert isinstance(outcome, Success)
    assert int.from_bytes(outcome.output, "big") == 119 - 16
    assert isinstance(World(spec=extended.SPECS_BY_NAME["BPO2"]).run(code), Halt)


def test_without_the_line_nothing_knows_it() -> None:
    assert "Amsterdam" not in schedule.SPECS_BY_NAME
    with pytest.raises(schedule.ScheduleError, match="amsterdamTime: no such fork is known here"):
        schedule.ForkSchedule.from_config({**TIMES, "amsterdamTime": 30})
