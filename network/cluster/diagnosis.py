"""Why a chain stands still, or does not become final: which votes are missing, and what keeps them away.

Everything is read from what the nodes say (``reports.py``) and from the faults that are on. Each answer is a few
sentences and the same as data.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from network.cluster.reports import NodeReport, Reports, listed

PATIENCE_BLOCKS: Final = 3
PATIENCE_MS: Final = 2_000
"""A chain that has decided nothing for three blocks and two seconds stands still."""
POS_LAG_EPOCHS: Final = 3
"""A finalized checkpoint is two epochs old while all is well, three just before an epoch ends."""


@dataclass(frozen=True, slots=True)
class Votes:
    """What some nodes, which see the same, have of one round's (or epoch's) votes."""

    seen_by: tuple[str, ...]
    where: str
    """``prevotes for #23 in round 4``"""
    given: tuple[tuple[str, tuple[str, ...]], ...]
    """Block (short) or ``nil``, and who voted for it."""
    missing: tuple[str, ...]

    def __str__(self) -> str:
        given = ", ".join(
            f"{_braced(names)} {'against it' if block == 'nil' else f'on {block}'}" for block, names in self.given
        )
        return f"{self.where} = {given or 'none'}"


@dataclass(frozen=True, slots=True)
class Cause:
    """Why some nodes' votes are missing."""

    nodes: tuple[str, ...]
    why: str
    fault: str | None = None
    """Its kind in the vocabulary of faults; None where no fault explains it."""
    since: str | None = None
    remedy: str = ""

    def __str__(self) -> str:
        return f"{listed(self.nodes)}: {self.why}" + (f" since {self.since}" if self.since else "")


@dataclass(frozen=True, slots=True)
class Answer:
    """One question answered. ``well``: nothing is wrong."""

    well: bool
    headline: str
    votes: tuple[Votes, ...] = ()
    causes: tuple[Cause, ...] = ()
    needed: str = ""

    def lines(self) -> list[str]:
        """For people."""
        lines = [self.headline]
        for votes in self.votes:
            seen = f"{listed(votes.seen_by)} {'see' if len(votes.seen_by) > 1 else 'sees'}"
            lines += [f"  {seen} {votes}{self.needed}"]
        lines += [f"Cause: {cause}" for cause in self.causes]
        remedies = dict.fromkeys(cause.remedy for cause in self.causes if cause.remedy)
        if remedies:
            lines.append(f"Next: {'; '.join(remedies)}")
        return lines

    def to_json(self) -> dict[str, Any]:
        """The same as data."""
        return {
            "well": self.well,
            "answer": self.headline,
            "votes": [
                {**asdict(votes), "given": {block: list(names) for block, names in votes.given}} for votes in self.votes
            ],
            "causes": [asdict(cause) for cause in self.causes],
        }


def why_stalled(reports: Reports) -> Answer:
    """Why no block comes."""
    silent = _nobody(reports)
    if silent is not None:
        return silent
    return _pos_stalled(reports) if reports.engine == "pos" else _bft_stalled(reports)


def why_not_final(reports: Reports) -> Answer:
    """Why blocks do not become final. In bft that is the same question: a block that is there is final."""
    silent = _nobody(reports)
    if silent is not None:
        return silent
    return _pos_not_final(reports) if reports.engine == "pos" else _bft_stalled(reports)


def _nobody(reports: Reports) -> Answer | None:
    if reports.answering:
        return None
    causes = _causes(reports, {}, [report.name for report in reports.nodes])
    return Answer(False, "No node answers.", causes=tuple(causes))


# ---- bft


def _bft_stalled(reports: Reports) -> Answer:
    best = max(reports.answering, key=lambda report: report.number("head"))
    head = best.number("head")
    decided_ms = max((int(report.consensus.get("lastDecidedMs") or 0) for report in reports.answering), default=0)
    quiet_ms = reports.taken_ms - decided_ms if decided_ms else PATIENCE_MS + 1
    height = head + 1
    behind = [report.name for report in reports.answering if report.number("head") < head - 1]
    if decided_ms and quiet_ms < PATIENCE_BLOCKS * reports.block_time_ms + PATIENCE_MS:
        headline = f"Blocks are decided: #{head} {_seconds(quiet_ms)} ago, final at once (engine {reports.engine})."
        absent = [report.name for report in reports.nodes if not report.answers] + behind
        return Answer(not absent, headline, causes=tuple(_causes(reports, {best.name: absent}, ())))
    weights = reports.weights()
    voters = [name for name, weight in weights.items() if weight]
    views = [
        _bft_view(reports, report, height, voters) for report in reports.answering if report.number("head") == head
    ]
    votes = _merged(views)
    ages = f", {_seconds(quiet_ms)} ago" if decided_ms else ""
    total = sum(weights.values())
    needed = f"; more than two thirds of {total} needed: {2 * total // 3 + 1}" if total else ""
    missing = {view.seen_by[0]: view.missing for view in views}
    absent = [report.name for report in reports.nodes if not report.answers] + behind
    causes = _causes(reports, missing, absent)
    return Answer(False, f"No block since #{head}{ages}: #{height} lacks votes.", tuple(votes), tuple(causes), needed)


def _bft_view(reports: Reports, report: NodeReport, height: int, voters: Sequence[str]) -> Votes:
    facts = report.consensus
    precommits = facts.get("precommits") or []
    kind, told = ("precommits", precommits) if precommits else ("prevotes", facts.get("prevotes") or [])
    given: dict[str, list[str]] = {}
    for vote in told:
        block = _short(vote["block"]) if vote.get("block") else "nil"
        given.setdefault(block, []).append(reports.name_of(vote["validator"]))
    seen = [name for names in given.values() for name in names]
    return Votes(
        (report.name,),
        f"{kind} for #{height} in round {facts.get('round', 0)}",
        tuple((block, tuple(sorted(names))) for block, names in given.items()),
        tuple(name for name in voters if name not in seen),
    )


# ---- pos


def _pos_stalled(reports: Reports) -> Answer:
    best = max(reports.answering, key=lambda report: report.number("head"))
    facts = best.consensus
    slot, head = int(facts.get("slot", 0)), facts.get("head") or {}
    gap = slot - int(head.get("slot", slot))
    where = f"#{best.number('head')} of slot {head.get('slot', 0)}, now is slot {slot}"
    absent = [report.name for report in reports.nodes if not report.answers]
    absent += [report.name for report in reports.answering if report.number("head") < best.number("head") - 2]
    if gap <= 2:
        return Answer(not absent, f"Blocks come: {where}.", causes=tuple(_causes(reports, {best.name: absent}, ())))
    proposer = reports.name_of(facts.get("proposer"))
    headline = f"No block for {gap} slots: the newest is {where}; its proposer would be {proposer}."
    return Answer(False, headline, causes=tuple(_causes(reports, {best.name: (proposer, *absent)}, ())))


def _pos_not_final(reports: Reports) -> Answer:
    best = max(reports.answering, key=lambda report: report.number("finalized"))
    epoch = max(int(report.consensus.get("epoch", 0)) for report in reports.answering)
    final_epoch = epoch_of_final(best)
    lag = epoch - final_epoch
    number = best.number("finalized")
    absent = [report.name for report in reports.nodes if not report.answers]
    if lag <= POS_LAG_EPOCHS:
        headline = f"Finality follows: #{number} (epoch {final_epoch}) is final, now is epoch {epoch}."
        return Answer(not absent, headline, causes=tuple(_causes(reports, {best.name: absent}, ())))
    views = [_pos_view(reports, report) for report in reports.answering]
    weights = reports.weights()
    total = sum(weights.values())
    needed = f"; two thirds of {total} needed: {-(-2 * total // 3)}" if total else ""
    most = max((sum(weights.get(one, 0) for one in names) for view in views for _, names in view.given), default=0)
    headline = f"Finality stopped at #{number} (epoch {final_epoch}), {lag} epochs ago: "
    if total and 3 * most >= 2 * total:
        headline += "this epoch has votes enough, so it should follow within two epochs."
    else:
        headline += "too few votes for one target."
    missing = {view.seen_by[0]: view.missing for view in views}
    return Answer(False, headline, tuple(_merged(views)), tuple(_causes(reports, missing, absent)), needed)


def epoch_of_final(report: NodeReport) -> int:
    """Epoch (pos) of the block that the chain calls final; the store's checkpoint follows it when the epoch ends."""
    facts = report.consensus
    slots = max(1, int(facts.get("slotsPerEpoch", 1)))
    for block in facts.get("tree") or ():
        if block["hash"] == report.hash("finalized"):
            return int(block["slot"]) // slots
    return int((facts.get("finalized") or {}).get("epoch", 0))


def _pos_view(reports: Reports, report: NodeReport) -> Votes:
    facts = report.consensus
    given: dict[str, dict[str, None]] = {}
    for vote in facts.get("votes") or ():
        given.setdefault(_short(vote["target"]["root"]), {})[reports.name_of(vote["validator"])] = None
    missing = dict.fromkeys(reports.name_of(address) for address in facts.get("missing") or ())
    # what a node cannot hear now it will not hear later in the epoch either
    for other in reports.nodes:
        if other.name != report.name and (not other.answers or reports.cuts(other.name, report.name)):
            missing[other.name] = None
    voted = {name: None for names in given.values() for name in names}
    return Votes(
        (report.name,),
        f"votes for epoch {facts.get('epoch', 0)}",
        tuple((block, tuple(sorted(names))) for block, names in given.items()),
        tuple(name for name in missing if name not in voted),
    )


# ---- what keeps votes away


def _causes(reports: Reports, missing: Mapping[str, Iterable[str]], absent: Iterable[str]) -> list[Cause]:
    """One cause for every node that is missing somewhere; nodes with the same cause together."""
    found: dict[tuple[str, str | None, str | None], tuple[list[str], dict[str, None]]] = {}
    lacking: dict[str, list[str]] = {name: [] for name in absent}
    for viewer, names in missing.items():
        for name in names:
            lacking.setdefault(name, []).append(viewer)
    for name, viewers in lacking.items():
        cause = _cause(reports, name, viewers)
        alike, remedies = found.setdefault((cause.why, cause.fault, cause.since), ([], {}))
        alike.append(name)
        if cause.remedy:
            remedies[cause.remedy] = None
    return [Cause(tuple(sorted(alike)), *rest, "; ".join(remedies)) for rest, (alike, remedies) in found.items()]


def _cause(reports: Reports, name: str, viewers: Sequence[str]) -> Cause:
    board = reports.board
    report = next((one for one in reports.nodes if one.name == name), None)
    if report is None:
        return Cause((name,), "is a validator that no node of this network has the key of")
    if report.state == "stopped":
        full = board.on_node(name, "full-disk")
        if full is not None:
            return Cause(
                (name,),
                "its disk is full and it has stopped",
                "full-disk",
                full.clock,
                f"evmesh disk {name} --clear, then evmesh restart {name}",
            )
        crash = board.on_node(name, "crash")
        if crash is not None:
            return Cause((name,), "killed", "crash", crash.clock, f"evmesh restart {name}")
        return Cause((name,), "ended by itself", None, None, f"evmesh logs {name} says why; evmesh restart {name}")
    if report.state == "paused":
        pause = board.on_node(name, "pause")
        return Cause((name,), "paused", "pause", pause.clock if pause else None, f"evmesh resume {name}")
    for viewer in viewers:
        cut = reports.cuts(name, viewer)
        if cut is not None:
            return Cause(
                (name,),
                f"cannot be heard by {listed(v for v in viewers if reports.cuts(name, v))}: {cut}",
                cut.kind,
                cut.clock,
                "evmesh heal",
            )
    for fault in reversed(board.faults):
        if fault.touches(name) and fault.action.what.is_byzantine:
            return Cause((name,), f"told to lie ({fault.kind})", fault.kind, fault.clock, f"evmesh byz {name} honest")
    slow = board.on_node(name, "slow-node")
    if slow is not None:
        return Cause((name,), f"slow ({slow})", slow.kind, slow.clock, f"evmesh slow {name} --clear")
    if report.state == "not answering":
        return Cause((name,), "no answer although it runs", None, None, f"evmesh logs {name}")
    if report.consensus.get("watchOnly"):
        lost = board.on_node(name, "lost-disk")
        return Cause(
            (name,),
            f"not voting: {report.consensus['watchOnly']}",
            lost.kind if lost else None,
            lost.clock if lost else None,
        )
    if report.consensus.get("syncing"):
        return Cause((name,), "catching up")
    for viewer in viewers:
        spoiled = reports.spoils(name, viewer)
        if spoiled is not None:
            return Cause((name,), f"hard to hear: {spoiled}", spoiled.kind, spoiled.clock, "evmesh heal")
    for kind in ("clock-offset", "clock-jump", "clock-drift"):
        clock = board.on_node(name, kind)
        if clock is not None:
            return Cause((name,), f"its clock is wrong ({clock})", kind, clock.clock, f"evmesh clock {name} --clear")
    heights = {one.number("head") for one in reports.answering if one.name != name}
    if heights and report.number("head") < max(heights) - 1:
        return Cause((name,), f"behind, at #{report.number('head')}")
    return Cause(
        (name,),
        "no fault is known: its vote may be on the way, or it voted in another round",
        None,
        None,
        f"evmesh logs {name}",
    )


def _merged(views: Iterable[Votes]) -> list[Votes]:
    """Views that show the same as one, seen by several."""
    merged: dict[tuple[Any, ...], list[str]] = {}
    for view in views:
        merged.setdefault((view.where, view.given, view.missing), []).extend(view.seen_by)
    return [Votes(tuple(seen_by), *rest) for rest, seen_by in merged.items()]


def _short(block_hash: object) -> str:
    return f"{str(block_hash)[:8]}…"


def _braced(names: Iterable[str]) -> str:
    return "{" + ",".join(names) + "}"


def _seconds(milliseconds: int) -> str:
    return f"{max(0, milliseconds) / 1000:.1f} s"
