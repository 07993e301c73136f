"""A failing run made smaller, as long as it breaks the same promise: less time, fewer nodes, fewer faults.

Each step tries changes of one kind and keeps those after which the run still fails in the same way (delta debugging
for the list of faults). The steps are repeated until none helps, or the runs allowed are used up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

from network.faults.vocabulary import BadPlan, Plan
from network.simulator.runs import Result, run
from network.simulator.scenario import Scenario

RUNS_MAX: Final = 400
_LATE: Final = ("liveness", "latency", "convergence", "progress")
"""Promises that are judged at the end: such a run cannot be cut where it broke one."""


class Shrinker:
    """``result``: the smallest failing run so far."""

    def __init__(
        self,
        failing: Result,
        runs_max: int = RUNS_MAX,
        execute: Callable[[int, Scenario], Result] = run,
        told: Callable[[str], object] = lambda line: None,
    ) -> None:
        assert failing.violation is not None, "only a failing run can be made smaller"
        self.result = failing
        self.runs = 0
        self._runs_max = runs_max
        self._execute = execute
        self._told = told
        self._kind = failing.violation.kind

    def shrink(self) -> Result:
        """The smallest run found."""
        while self.runs < self._runs_max and (self._time() | self._nodes() | self._faults() | self._draws()):
            pass
        return self.result

    @property
    def _scenario(self) -> Scenario:
        return self.result.scenario

    def _try(self, scenario: Scenario) -> bool:
        """Whether a smaller run fails in the same way; then it is the one to go on with."""
        if self.runs >= self._runs_max or scenario == self._scenario:
            return False
        self.runs += 1
        result = self._execute(self.result.level, scenario)
        if result.violation is None or result.violation.kind != self._kind:
            return False
        self.result = result
        self._told(f"{scenario.nodes} nodes, {len(scenario.faults.actions)} faults, {scenario.until_ms / 1000:g} s")
        return True

    def _time(self) -> bool:
        """End where it broke or earlier; or calm down earlier, where the end is what is judged."""
        before = self._scenario
        if self._kind not in _LATE:
            self._try(_cut(before, self.result.ended_ms))
            while self._try(_cut(self._scenario, self._scenario.until_ms * 3 // 4)):
                pass
        elif before.calm_ms >= 1000:
            saved_ms = before.calm_ms - before.calm_ms // 2
            calmed = _cut(replace(before, calm_ms=before.calm_ms - saved_ms), before.calm_ms - saved_ms)
            self._try(replace(calmed, until_ms=before.until_ms - saved_ms))
        return self._scenario != before

    def _nodes(self) -> bool:
        """Without the last node, while that works."""
        before = self._scenario
        while self._scenario.nodes > 1 and (fewer := _without_last(self._scenario)) is not None and self._try(fewer):
            pass
        return self._scenario != before

    def _faults(self) -> bool:
        """ddmin over the list of faults."""
        before = self._scenario
        size = max(1, len(before.faults.actions) // 2)
        while size:
            removed = False
            start = 0
            while start < len(self._scenario.faults.actions):
                actions = self._scenario.faults.actions
                left = actions[:start] + actions[start + size :]
                if self._try(replace(self._scenario, faults=Plan(left))):
                    removed = True
                else:
                    start += size
            size = size if removed and size > 1 else size // 2
        return self._scenario != before

    def _draws(self) -> bool:
        """Plainer weights, links and redundancy."""
        before = self._scenario
        for scenario in self._plainer():
            self._try(scenario)
        return self._scenario != before

    def _plainer(self) -> Iterator[Scenario]:
        yield replace(self._scenario, weights=())
        yield replace(self._scenario, duplication=0.0)
        yield replace(self._scenario, without=())
        yield replace(self._scenario, delay_ms=self._scenario.delay_min_ms)
        if self._scenario.keys > 1:
            yield replace(self._scenario, keys=1)


def _cut(scenario: Scenario, end_ms: int) -> Scenario:
    """Over at a time; faults end by then."""
    actions = (action for action in scenario.faults.actions if action.at_ms < end_ms)
    ended = (
        replace(action, until_ms=end_ms) if action.until_ms is not None and action.until_ms > end_ms else action
        for action in actions
    )
    return replace(scenario, until_ms=end_ms, faults=Plan(tuple(ended)))


def _without_last(scenario: Scenario) -> Scenario | None:
    last = f"n{scenario.nodes - 1}"
    try:
        return replace(
            scenario,
            nodes=scenario.nodes - 1,
            weights=scenario.weights[:-1],
            faults=scenario.faults.without((last, last + "+")),
        )
    except BadPlan:
        return None
