"""One run of either level from a scenario, and the file from which a failing run comes again.

scenario ─▶ run ─▶ Result ── violation ─▶ file: version, scenario with its faults, violation, trace hash
                                           │
                        evmesh replay ◀────┘  the same bytes, or it says what differs
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from network.failures import EXIT_DISAGREEMENT, EXIT_FAILURE
from network.faults.vocabulary import BadPlan
from network.invariants import InvariantViolated
from network.simulator.level1.harness import EXCEPTION
from network.simulator.level1.judge import Violation
from network.simulator.level1.running import run_scenario
from network.simulator.level2 import Level2Run
from network.simulator.scenario import Scenario

FORMAT: Final = 1
FILE_BYTES_MAX: Final = 16 * 1024 * 1024
Sink = Callable[[str], object]


@dataclass(frozen=True, slots=True)
class Result:
    """What a run of either level came to."""

    level: int
    scenario: Scenario
    violation: Violation | None
    trace_hash: str
    events: int
    ended_ms: int
    final_blocks: int
    convicted: int = 0
    """Validators that signed against themselves."""
    judged_progress: bool = True
    """Whether the run was long enough, and its liars few enough, to ask for progress."""

    @property
    def exit_code(self) -> int:
        """0; 1: the code failed; 3: a promise was broken."""
        if self.violation is None:
            return 0
        return EXIT_FAILURE if self.violation.kind == EXCEPTION else EXIT_DISAGREEMENT

    def sentence(self) -> str:
        """What happened, in plain words."""
        if self.violation is None:
            return f"no promise was broken in {self.scenario.until_ms / 1000:g} s"
        when = f"after {self.ended_ms / 1000:.1f} s"
        if self.violation.kind == EXCEPTION:
            return f"{when} the code failed: {self.violation.detail}"
        return f"{when} a promise broke ({self.violation.kind}): {self.violation.detail}"


def run(level: int, scenario: Scenario, trace_to: Sink | None = None) -> Result:
    """The whole run. What goes wrong in it is in the result, never raised."""
    return _run_level1(scenario, trace_to) if level == 1 else _run_level2(scenario, trace_to)


def _run_level2(scenario: Scenario, trace_to: Sink | None) -> Result:
    running = Level2Run(scenario, trace_to)
    violation = None
    with running.simulation as simulation:
        try:
            running.run()
        except InvariantViolated as broken:
            violation = Violation(broken.invariant.value, str(broken))
        except Exception as error:  # the nodes' code is what is on trial: its exception is the finding
            violation = Violation(EXCEPTION, f"{type(error).__name__}: {error}".splitlines()[0])
        return Result(
            2,
            scenario,
            violation,
            simulation.trace.hash,
            simulation.trace.events,
            simulation.now_ms,
            max(simulation.judge.finalized().values(), default=0),
            judged_progress=running.judged,
        )


def _run_level1(scenario: Scenario, trace_to: Sink | None) -> Result:
    outcome = run_scenario(scenario, trace_to)
    return Result(
        1,
        scenario,
        outcome.violation,
        outcome.trace_hash,
        outcome.events,
        outcome.ended_ms,
        outcome.decided,
        len(outcome.convicted),
        outcome.judged_progress,
    )


@dataclass(frozen=True, slots=True)
class FailureFile:
    """A failing run as a file holds it."""

    version: str
    level: int
    scenario: Scenario
    violation: Violation
    trace_hash: str

    @classmethod
    def of(cls, result: Result, version: str) -> FailureFile:
        """From a result with a violation."""
        assert result.violation is not None, "the run went well"
        return cls(version, result.level, result.scenario, result.violation, result.trace_hash)

    def to_json(self) -> dict[str, Any]:
        """JSON types."""
        return {
            "format": FORMAT,
            "evmesh": self.version,
            "level": self.level,
            "scenario": self.scenario.to_json(),
            "violation": {"kind": self.violation.kind, "detail": self.violation.detail},
            "trace_hash": self.trace_hash,
        }

    def write(self, path: Path) -> None:
        """Raises OSError."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(self.to_json(), indent=2) + "\n", "utf-8")

    @classmethod
    def read(cls, path: Path) -> FailureFile:
        """Raises BadPlan, which names the file."""
        try:
            with path.open("rb") as file:
                data = file.read(FILE_BYTES_MAX + 1)
            if len(data) > FILE_BYTES_MAX:
                raise BadPlan(f"larger than {FILE_BYTES_MAX} bytes")
            orjson.loads(data)  # bounds nesting; json reads numbers of any size
            document = json.loads(data.decode("utf-8"))
            if not isinstance(document, dict) or document.get("format") != FORMAT:
                raise BadPlan(f'no failing run of evmesh: expected an object with "format": {FORMAT}')
            violation = document.get("violation")
            if not isinstance(violation, dict):
                raise BadPlan("violation: expected an object")
            level = document.get("level")
            if level not in (1, 2):
                raise BadPlan("level: expected 1 or 2")
            return cls(
                str(document.get("evmesh", "")),
                level,
                Scenario.from_json(document.get("scenario")),
                Violation(str(violation.get("kind", "")), str(violation.get("detail", ""))),
                str(document.get("trace_hash", "")),
            )
        except OSError as error:
            raise BadPlan(f"{path}: {error.strerror or error}") from error
        except (ValueError, RecursionError) as error:  # BadPlan and the parser's errors are ValueErrors
            raise BadPlan(f"{path}: {error}") from error
