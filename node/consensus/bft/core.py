"""The bft engine: one RoundMachine a height, plus everything between heights.

Pace (when a height starts), anti-entropy (R9), bounded buffers for messages that come early (R10),
catch-up by decided blocks, and boot from the consensus log. Holds no key, reads no clock.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Final

from node.consensus.bft.evidence import conviction
from node.consensus.bft.evidence_pool import EvidencePool
from node.consensus.bft.inspection import inspect_evidence, inspect_machine
from node.consensus.bft.messages import Decided, Evidence, Polka, Proposal, Statement, Status, decode
from node.consensus.bft.round_machine import RoundMachine, Step, Timeouts
from node.consensus.bft.seals import encode_seal
from node.consensus.bft.triage import DECIDED_AHEAD_MAX, HEIGHTS_AHEAD_MAX, ROUNDS_AHEAD_MAX, triage_message
from node.consensus.bft.vote_keeper import VoteKeeper, certificate_has_quorum
from node.consensus.engine import (
    CancelTimer,
    ConsensusMessage,
    Decide,
    Effect,
    ExecutePayload,
    Input,
    LogRecord,
    MalformedMessage,
    MessageReceived,
    Moment,
    Note,
    PayloadBuilt,
    PayloadStatus,
    PeerDown,
    PeerUp,
    Publish,
    RecordEvidence,
    SendDecided,
    SendTo,
    SetTimer,
    Started,
    TimerFired,
    TimerKey,
    Triage,
)
from node.consensus.validators import ValidatorSet
from node.primitives.scalars import Address, Hash32
from node.types.blocks import Header

EARLY_PER_PEER_MAX: Final = 256
EARLY_PROPOSALS_PER_PEER_MAX: Final = 4
PEERS_MAX: Final = 256
PAST_HEIGHTS_MAX: Final = 8
EVIDENCE_SENT_MAX: Final = 16
"""Convictions told to a new peer."""
SLOW_SHARE_MAX: Final = 4
"""Slow execution lengthens timer propose by at most this many times its base."""

_STATUS_TIMER: Final = TimerKey("status")


@dataclass(frozen=True, slots=True)
class BftSettings:
    """Local choices; validators need not agree on them. Milliseconds."""

    block_time_ms: int = 1000
    timeouts: Timeouts = field(default_factory=Timeouts)
    gossip_ms: int = 500
    """T_g: time between two STATUS broadcasts, jittered by an eighth."""
    boot_wait_ms: int = 200
    """After a restart: time to hear where the others are before joining in."""


class _Early:
    """What one peer sent for heights to come."""

    __slots__ = ("messages", "proposals")

    def __init__(self) -> None:
        self.messages: list[Statement | Proposal] = []
        self.proposals = 0


class BftEngine:
    """Accountable Tendermint as a sans-I/O engine. ``me`` is None for a follower."""

    name = "bft"

    def __init__(
        self, validators: ValidatorSet, me: Address | None, settings: BftSettings, jitter_seed: int = 0
    ) -> None:
        self.validators = validators
        """Who votes at the current height."""
        self.settings = settings
        self.evidence = EvidencePool()
        self._sets_change = False
        """The state holds the set, and every execution tells what it is afterwards."""
        self._set_is_new = False
        self._sets: dict[Hash32, ValidatorSet] = {}
        """The set after an executed block of the current height."""
        self._me = me
        self._jitter = jitter_seed & (2**64 - 1)
        self._out: list[Effect] = []
        self._at = Moment(0, 0)
        self._machine: RoundMachine | None = None
        self._watch_only = ""
        self._listening = False
        self._silent_through = 0
        self._start_ms = 0
        self._executing_ms: dict[bytes, int] = {}
        self._execution_ms = 0
        """How long blocks took to execute lately: the longest, fading by an eighth a height."""
        self._last_decided_wall_ms = 0
        self._past: dict[int, VoteKeeper] = {}
        """Votes of the last decided heights: a late one may convict."""
        self._early: dict[bytes, _Early] = {}
        self._decided_ahead: dict[int, Decided] = {}
        self._peer_heights: dict[bytes, int] = {}
        self._answered_ms: dict[bytes, int] = {}

    # --- Engine ----------------------------------------------------------------------------------

    @property
    def height(self) -> int:
        """The height being decided."""
        return self._machine.height if self._machine else 0

    @property
    def machine(self) -> RoundMachine:
        """The rules of the current height. Only after Started."""
        assert self._machine is not None, "the first input is Started"
        return self._machine

    def handle(self, event: Input) -> list[Effect]:
        """Advance by one input."""
        self._out = []
        self._at = event.at
        if isinstance(event, Started):
            self._on_started(event)
        elif self._machine is not None:
            self._machine.at = event.at
            self._dispatch(event)
            self._after()
        return self._out

    def _dispatch(self, event: Input) -> None:
        if isinstance(event, MessageReceived):
            self._on_message(event.peer, event.message)
        elif isinstance(event, TimerFired):
            self._on_timer(event.key)
        elif isinstance(event, PayloadStatus):
            began_ms = self._executing_ms.pop(event.block_hash, None)
            if began_ms is not None:
                self._execution_ms = max(self._execution_ms, event.at.monotonic_ms - began_ms)
            self._learn_set(event.block_hash, event.validators)
            self.machine.on_validity(event.block_hash, event.valid, event.reason, event.facts)
        elif isinstance(event, PayloadBuilt):
            if event.block is not None:
                self._learn_set(event.block.hash, event.validators)
            self.machine.on_built(event.request, event.block, event.problem)
        elif isinstance(event, PeerUp):
            self._emit(SendTo(event.peer, self.machine.status()))
            for evidence in self.evidence.pending(self.validators)[:EVIDENCE_SENT_MAX]:
                self._emit(SendTo(event.peer, evidence))
        elif isinstance(event, PeerDown):
            self._early.pop(event.peer, None)
            self._peer_heights.pop(event.peer, None)
            self._answered_ms.pop(event.peer, None)

    def _learn_set(self, block_hash: Hash32, validators: ValidatorSet | None) -> None:
        if validators is not None and self._sets_change:
            self._sets[block_hash] = validators

    def triage(self, message: ConsensusMessage) -> Triage:
        """Whether a message, or what it claims (``decode_claim``), is worth verifying. Cheap; changes nothing."""
        if self._machine is None:
            return Triage(False, "not started")
        return triage_message(message, self._machine, self.evidence, self._past)

    def inspect(self) -> dict[str, object]:
        """State for RPC, in JSON types."""
        return {
            "engine": self.name,
            "validator": "0x" + self._me.hex() if self._me and self._me in self.validators else None,
            "watchOnly": self._watch_only or None,
            "lastDecidedMs": self._last_decided_wall_ms,
            **inspect_machine(self._machine, self.validators),
            "evidence": inspect_evidence(self.evidence.known),
        }

    # --- boot ------------------------------------------------------------------------------------

    def _on_started(self, event: Started) -> None:
        self._watch_only = event.watch_only
        self._listening = event.new_log
        self._sets_change = event.validators is not None
        self.validators = event.validators or self.validators
        if event.watch_only:
            self._emit(Note("watching only", {"why": event.watch_only}, "error"))
            self._me = None
        machine = self._enter(event.head)
        for stored in event.evidence:
            self._restore_evidence(stored)
        try:
            machine.restore(_signed_at(machine.height, event.records))
        except MalformedMessage as error:
            self._watch_only = f"consensus log: {error}"
            self._me = machine.me = None
            self._emit(Note("watching only", {"why": self._watch_only}, "error"))
        wait_ms = min(self.settings.block_time_ms, 1000) if event.new_log else self.settings.boot_wait_ms
        self._schedule_start(self._at.monotonic_ms + wait_ms)
        self._emit(SetTimer(_STATUS_TIMER, self._gossip_delay()))
        self._emit(SendTo(None, machine.status()))

    def _enter(self, head: Header) -> RoundMachine:
        height = head.number + 1
        me = self._me if height > self._silent_through else None
        timeouts = self.settings.timeouts
        self._executing_ms.clear()
        pending = (lambda: self.evidence.known.values()) if self._sets_change else None
        machine = RoundMachine(
            head, self.validators, me, self._patient(timeouts), timeouts.propose_ms // 3, self._emit, pending
        )
        machine.at = self._at
        machine.set_is_new = self._set_is_new
        self._machine = machine
        return machine

    def _patient(self, timeouts: Timeouts) -> Timeouts:
        """A proposer's building and my executing must fit into timer propose, on whatever machine this is."""
        extra_ms = min(2 * self._execution_ms, SLOW_SHARE_MAX * timeouts.propose_ms)
        return replace(timeouts, propose_ms=timeouts.propose_ms + extra_ms)

    # --- pace ------------------------------------------------------------------------------------

    def _schedule_start(self, at_ms: int) -> None:
        self._start_ms = at_ms
        key = TimerKey("start", self.height)
        self._emit(SetTimer(key, max(0, at_ms - self._at.monotonic_ms)))

    def _start_height(self) -> None:
        machine = self.machine
        if not machine.started:
            self._start_ms = min(self._start_ms, self._at.monotonic_ms)
            self._emit(CancelTimer(TimerKey("start", machine.height)))
            self._listening = False
            machine.start()

    def _after(self) -> None:
        """Join a height that others are in, and take every decision that has become possible."""
        while True:
            machine = self.machine
            if machine.decision is not None:
                self._decide(machine.decision)
            elif not machine.started and machine.wants_to_start():
                self._start_height()
            else:
                return

    def _decide(self, decided: Decided) -> None:
        machine = self.machine
        machine.cancel_timers()
        self._past[machine.height] = machine.votes
        self._past.pop(machine.height - PAST_HEIGHTS_MAX, None)
        if not machine.started:
            self._emit(CancelTimer(TimerKey("start", machine.height)))
        self._emit(Decide(decided.block, encode_seal(decided), decided.certificate.round))
        for one in decided.evidence:
            self.evidence.add(one)
            facts = {"validator": one.first.validator, "height": machine.height, "evidence_of": one.first.height}
            self._emit(Note("validator removed by a block", facts, "warning"))
        after = self._sets.get(decided.block.hash, self.validators)
        self._set_is_new = after.validators != self.validators.validators
        self.validators = after
        self._sets.clear()
        self.evidence.forget_below(machine.height + 1)
        self._execution_ms -= self._execution_ms // 8
        self._last_decided_wall_ms = self._at.wall_ms
        self._enter(decided.block.header)
        now_ms = self._at.monotonic_ms
        next_ms = max(now_ms, self._start_ms + self.settings.block_time_ms)
        if any(height > self.height for height in self._peer_heights.values()):
            # others are ahead: their decided blocks come first, our own turn at this height would be late
            next_ms = now_ms + self.settings.block_time_ms
        self._schedule_start(next_ms)
        self._take_early()

    def _take_early(self) -> None:
        height = self.height
        self._decided_ahead = {number: held for number, held in self._decided_ahead.items() if number >= height}
        held = self._decided_ahead.pop(height, None)
        for peer in list(self._early):
            early = self._early[peer]
            mine = [message for message in early.messages if message.height == height]
            early.messages = [message for message in early.messages if message.height > height]
            early.proposals = sum(isinstance(message, Proposal) for message in early.messages)
            if not early.messages:
                del self._early[peer]
            for message in mine:
                self._hear(message)
        if held is not None:
            self.machine.on_decided(held)

    # --- messages --------------------------------------------------------------------------------

    def _on_message(self, peer: bytes | None, message: ConsensusMessage) -> None:
        if isinstance(message, Statement):
            self._on_statement(peer, message)
        elif isinstance(message, Status):
            if peer is not None:
                self._on_status(peer, message)
        elif isinstance(message, Evidence):
            self._keep_evidence(message)
        elif isinstance(message, Decided):
            self._on_decided(message)
        elif isinstance(message, Polka):
            if message.certificate.height == self.height and message.certificate.round <= self._round_max():
                self.machine.on_polka(message)
        elif isinstance(message, Proposal):
            self._on_statement(peer, message)

    def _on_statement(self, peer: bytes | None, message: Statement | Proposal) -> None:
        ahead = message.height - self.height
        self._break_silence(message.height)
        if ahead == 0:
            if peer is None:
                self.machine.on_own(message)
            elif message.round <= self._round_max():
                self._hear(message)
        elif 0 < ahead <= HEIGHTS_AHEAD_MAX and peer is not None:
            self._keep_early(peer, message)
        elif message.height in self._past and isinstance(message, Statement):
            evidence = self._past[message.height].add(message)
            if evidence is not None:
                self._keep_evidence(evidence)

    def _hear(self, message: Statement | Proposal) -> None:
        if isinstance(message, Proposal):
            self.machine.on_proposal(message)
        else:
            self.machine.on_vote(message)

    def _round_max(self) -> int:
        return self.machine.round + ROUNDS_AHEAD_MAX

    def _keep_early(self, peer: bytes, message: Statement | Proposal) -> None:
        early = self._early.get(peer)
        if early is None:
            if len(self._early) >= PEERS_MAX:
                return
            early = self._early[peer] = _Early()
        is_proposal = isinstance(message, Proposal)
        if len(early.messages) >= EARLY_PER_PEER_MAX or message.round > ROUNDS_AHEAD_MAX:
            return
        if is_proposal and early.proposals >= EARLY_PROPOSALS_PER_PEER_MAX:
            return
        early.messages.append(message)
        early.proposals += is_proposal

    def _on_decided(self, decided: Decided) -> None:
        self._break_silence(decided.block.number + 1)
        ahead = decided.block.number - self.height
        if ahead == 0:
            self.machine.on_decided(decided)
        elif 0 < ahead <= DECIDED_AHEAD_MAX and certificate_has_quorum(decided.certificate, self.validators):
            self._decided_ahead.setdefault(decided.block.number, decided)

    def _break_silence(self, network_height: int) -> None:
        """A key whose log is new must not vote where an older, lost log may have voted already.

        Judged by what is heard between boot and the first start: later the network has moved on by itself.
        """
        if self._listening and network_height > self.height and network_height > self._silent_through:
            self._silent_through = network_height
            if self._me is not None and self._me in self.validators:
                facts = {"through": network_height, "why": "the consensus log is new but the network is not"}
                self._emit(Note("not voting yet", facts, "warning"))
            self.machine.me = None

    def _keep_evidence(self, evidence: Evidence) -> None:
        kind = conviction(evidence.first, evidence.second)
        if kind:
            self._emit(RecordEvidence(evidence.first.validator, kind, evidence))

    def _restore_evidence(self, stored: bytes) -> None:
        try:
            evidence = decode(stored)
        except MalformedMessage as error:
            self._emit(Note("stored evidence is damaged", {"why": str(error)}, "warning"))
            return
        if isinstance(evidence, Evidence) and self.evidence.add(evidence):
            self._emit(Publish(evidence))

    # --- R9: anti-entropy ------------------------------------------------------------------------

    def _on_timer(self, key: TimerKey) -> None:
        if key == _STATUS_TIMER:
            self._emit(SendTo(None, self.machine.status()))
            self._emit(SetTimer(_STATUS_TIMER, self._gossip_delay()))
        elif key.height != self.height:
            return
        elif key.kind == "start":
            self._start_height()
        else:
            self.machine.on_timer(key.kind, key.round)

    def _gossip_delay(self) -> int:
        self._jitter = (self._jitter * 6364136223846793005 + 1442695040888963407) & (2**64 - 1)
        spread = max(1, self.settings.gossip_ms // 4)
        return self.settings.gossip_ms - spread // 2 + (self._jitter >> 33) % spread

    def _on_status(self, peer: bytes, status: Status) -> None:
        if peer in self._peer_heights or len(self._peer_heights) < PEERS_MAX:
            self._peer_heights[peer] = status.height
        if status.height > self.height:
            self._break_silence(status.height)
        now_ms = self._at.monotonic_ms
        if now_ms - self._answered_ms.get(peer, -self.settings.gossip_ms) < self.settings.gossip_ms // 4:
            return
        if len(self._answered_ms) >= PEERS_MAX and peer not in self._answered_ms:
            return
        self._answered_ms[peer] = now_ms
        if status.height < self.height:
            last = min(self.height - 1, status.height + DECIDED_AHEAD_MAX - 1)
            self._emit(SendDecided(peer, max(1, status.height), last))
        elif status.height == self.height:
            self._answer_same_height(peer, status)
        else:
            self._emit(SendTo(peer, self.machine.status()))

    def _answer_same_height(self, peer: bytes, status: Status) -> None:
        machine = self.machine
        if machine.valid_round > status.valid_round and machine.valid_block and machine.valid_polka:
            evidence = machine.candidates.evidence(machine.valid_block.hash)
            self._emit(SendTo(peer, Polka(machine.valid_block, machine.valid_polka, evidence)))
        for round_number in dict.fromkeys((status.round, machine.round)):
            if status.step == Step.PROPOSE or round_number != status.round:
                for proposal in machine.candidates.proposals(round_number)[:1]:
                    self._emit(SendTo(peer, proposal))
            for message in machine.signed_in(round_number):
                if isinstance(message, Statement):
                    self._emit(SendTo(peer, message))

    def _emit(self, effect: Effect) -> None:
        if isinstance(effect, ExecutePayload):
            self._executing_ms[effect.block.hash] = self._at.monotonic_ms
        if isinstance(effect, RecordEvidence) and isinstance(effect.evidence, Evidence):
            if self.evidence.add(effect.evidence):
                self._out.append(effect)
                self._out.append(Publish(effect.evidence))
            return
        self._out.append(effect)


def _signed_at(height: int, records: Iterable[LogRecord]) -> list[tuple[Statement | Proposal, Polka | None]]:
    """The messages of one height from the log. Raises MalformedMessage."""
    found: list[tuple[Statement | Proposal, Polka | None]] = []
    for record in records:
        if record.height != height:
            continue
        message = decode(record.message)
        proof = decode(record.proof) if record.proof else None
        if not isinstance(message, Statement | Proposal) or not isinstance(proof, Polka | None):
            raise MalformedMessage("a record holds another message than it says")
        found.append((message, proof))
    return found
