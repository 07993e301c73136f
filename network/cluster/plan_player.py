"""A plan of faults carried out on a running network: the same file that the simulator takes, in real time."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from network.cluster import fault_hands
from network.cluster.run_directory import RunDirectory
from network.failures import Failure
from network.faults.vocabulary import FaultAction, Plan

POLL_SECONDS: Final = 0.05


@dataclass(frozen=True, slots=True)
class Step:
    """A fault begins or ends. ``problem``: why that could not be done; empty when it was."""

    at_ms: int
    begins: bool
    action: FaultAction
    problem: str = ""

    def __str__(self) -> str:
        what = f"{self.at_ms / 1000:6.1f} s  {'begin' if self.begins else 'end  '} {self.action.kind}"
        targets = ",".join(self.action.targets) or "all"
        return f"{what} on {targets}" + (f": {self.problem}" if self.problem else "")


def steps_of(plan: Plan) -> list[Step]:
    """Beginnings and ends in order of time; at one moment ends come first."""
    steps = [Step(action.at_ms, True, action) for action in plan.actions]
    steps += [Step(action.until_ms, False, action) for action in plan.actions if action.until_ms is not None]
    return sorted(steps, key=lambda step: (step.at_ms, step.begins))


def play(run: RunDirectory, plan: Plan, leave: bool, told: Callable[[Step], None]) -> list[Step]:
    """Carry the plan out; returns the steps that could not be done.

    What still lasts at the end (or when this is interrupted) is ended then, unless ``leave``. A step that fails does
    not keep the others from happening. Raises BadPlan where the plan names a node that there is not.
    """
    plan.check_names(run.node_names())
    began = time.monotonic()
    going: list[FaultAction] = []
    failed: list[Step] = []

    def do(step: Step) -> None:
        fault = FaultAction(0, step.action.kind, step.action.targets, step.action.parameters)
        try:
            (fault_hands.begin if step.begins else fault_hands.end)(run, fault)
        except Failure as failure:
            step = Step(step.at_ms, step.begins, step.action, failure.message)
            failed.append(step)
        told(step)

    try:
        for step in steps_of(plan):
            while (left := began + step.at_ms / 1000 - time.monotonic()) > 0:
                time.sleep(min(left, POLL_SECONDS))
            if step.begins and step.action.what.lasts:
                going.append(step.action)
            elif not step.begins:
                going.remove(step.action)
            do(step)
    finally:
        if not leave:
            for action in reversed(going):
                do(Step(round((time.monotonic() - began) * 1000), False, action))
    return failed
