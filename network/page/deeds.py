"""What the buttons do: the same faults, by the same hands, as the commands of these names.

A deed is a JSON object: ``{"do": "partition", "groups": [["n0"], ["n1", "n2", "n3"]]}``. Unknown fields are refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from network.cluster import fault_hands, fault_words, lies
from network.cluster.reorg import bring_about, check_depth, sides_of
from network.cluster.reports import listed, take_reports
from network.cluster.run_directory import RunDirectory
from network.failures import BadInput
from network.faults.link_faults import partitions
from network.faults.vocabulary import FaultAction

DEPTH_MAX: Final = 32


class Deeds:
    """One network's buttons."""

    def __init__(self, run: RunDirectory) -> None:
        self._run = run
        self._known: dict[str, tuple[tuple[str, ...], Callable[[Mapping[str, Any]], str]]] = {
            "partition": (("groups",), self._partition),
            "heal": (("all",), self._heal),
            "link": (("source", "target", "delay_ms", "jitter_ms", "loss", "one_way", "clear"), self._link),
            "kill": (("node",), self._kill),
            "pause": (("node",), self._pause),
            "resume": (("node",), self._resume),
            "restart": (("node",), self._restart),
            "byz": (("node", "kind"), self._byz),
            "reorg": (("depth",), self._reorg),
        }

    def do(self, wanted: Mapping[str, Any]) -> dict[str, str]:
        """Do it, and say what was done: ``{"text": …}``. Raises BadInput and what the hands raise."""
        name = wanted.get("do")
        if not isinstance(name, str) or name not in self._known:
            raise BadInput(f"there is no deed {str(name)[:40]!r}", f"known: {', '.join(self._known)}")
        fields, deed = self._known[name]
        unknown = [str(key)[:40] for key in wanted if key != "do" and key not in fields]
        if unknown:
            raise BadInput(f"{name} has no {', '.join(map(repr, unknown))}", f"it takes {', '.join(fields)}")
        return {"text": deed(wanted)}

    def _partition(self, wanted: Mapping[str, Any]) -> str:
        groups = wanted.get("groups")
        if not isinstance(groups, list) or len(groups) < 2 or not all(isinstance(group, list) for group in groups):
            raise BadInput("groups: expected at least two lists of nodes")
        fault_words.require_links(self._run)
        sides = [fault_words.node_list(self._run, ",".join(map(str, group))) for group in groups]
        fault_words.check_sides(self._run, sides)
        split = " | ".join(fault_words.braced(side) for side in sides)
        fault_hands.cut(self._run, partitions(sides), f"partition {split}")
        quorum = fault_words.quorum_words(self._run, sides)
        return f"split: {split}" + (f", {quorum}" if quorum else "")

    def _heal(self, wanted: Mapping[str, Any]) -> str:
        healed, left = fault_hands.heal(self._run, _flag(wanted, "all"))
        text = f"healed: {'; '.join(healed)}" if healed else "there was nothing to heal"
        return text + (f"; still on: {'; '.join(left)}" if left else "")

    def _link(self, wanted: Mapping[str, Any]) -> str:
        fault_words.require_links(self._run)
        source, target = self._node(wanted, "source"), self._node(wanted, "target")
        if source == target:
            raise BadInput(f"a link has two ends, and {source} is one node", "choose another")
        one_way, clear = _flag(wanted, "one_way"), _flag(wanted, "clear")
        both: dict[str, Any] = {"others": (target,), "one_way": one_way}
        faults: list[FaultAction] = []
        if delay := _number(wanted, "delay_ms", 600_000):
            faults.append(fault_words.action("delay", (source,), delay_ms=int(delay), **both))
        if jitter := _number(wanted, "jitter_ms", 600_000):
            faults.append(fault_words.action("jitter", (source,), jitter_ms=int(jitter), **both))
        if loss := _number(wanted, "loss", 1):
            faults.append(fault_words.action("loss", (source,), share=loss, **both))
        if not faults and not clear:
            raise BadInput("say how much it delays or loses", "or clear the link")
        between = [(source, target)] if one_way else [(source, target), (target, source)]
        fault_hands.spoil(self._run, between, faults, clear=True)
        label = f"{source} {'→' if one_way else '↔'} {target}"
        return f"{label}: {'; '.join(str(fault) for fault in faults) if faults else 'no fault'}"

    def _kill(self, wanted: Mapping[str, Any]) -> str:
        node = self._node(wanted, "node")
        return f"{node} killed (pid {fault_hands.kill(self._run, node).pid})"

    def _pause(self, wanted: Mapping[str, Any]) -> str:
        node = self._node(wanted, "node")
        return f"{node} paused (pid {fault_hands.pause(self._run, node).pid})"

    def _resume(self, wanted: Mapping[str, Any]) -> str:
        node = self._node(wanted, "node")
        return f"{node} resumed (pid {fault_hands.resume(self._run, node).pid})"

    def _restart(self, wanted: Mapping[str, Any]) -> str:
        node = self._node(wanted, "node")
        self._run.bug_file(node).unlink(missing_ok=True)  # as the command does: a bug is named at each start
        return f"{node} runs again (pid {fault_hands.restart(self._run, node).pid})"

    def _byz(self, wanted: Mapping[str, Any]) -> str:
        node, kind = self._node(wanted, "node"), wanted.get("kind")
        if not isinstance(kind, str):
            raise BadInput("kind: expected the name of a lie")
        name = lies.named(self._run, node, kind[:40])
        lies.check_heeded(node, name, fault_words.weights_of(self._run))
        lies.tell(self._run, node, name)
        return f"{node} is honest again" if name == lies.HONEST else f"{node} lies: {name}"

    def _reorg(self, wanted: Mapping[str, Any]) -> str:
        depth = int(_number(wanted, "depth", DEPTH_MAX) or 1)
        reports = take_reports(self._run)
        check_depth(reports, depth)
        fault_words.require_links(self._run)
        done = bring_about(self._run, sides_of(reports), depth, lambda text: None)
        if not done.depth:
            return f"no block was replaced; #{done.finalized} is final on all nodes"
        return f"reorg on {listed(done.losers)}: {done.depth} deep; #{done.finalized} is final on all nodes"

    def _node(self, wanted: Mapping[str, Any], key: str) -> str:
        name = wanted.get(key)
        if not isinstance(name, str):
            raise BadInput(f"{key}: expected the name of a node")
        return self._run.node(name[:40]).name


def _flag(wanted: Mapping[str, Any], key: str) -> bool:
    value = wanted.get(key, False)
    if not isinstance(value, bool):
        raise BadInput(f"{key}: expected true or false")
    return value


def _number(wanted: Mapping[str, Any], key: str, most: float) -> float | None:
    """A number from 0 to ``most``, or None where none is given."""
    value = wanted.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        raise BadInput(f"{key}: expected a number from 0 to {most:g}")
    return value
