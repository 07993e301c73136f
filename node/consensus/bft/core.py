"""The bft engine: one RoundMachine a height, plus everything between heights.

Pace (when a height starts), anti-entropy (R9), bounded buffers for messages that come early (R10),
catch-up by decided blocks, and boot from the consensus log. Holds no key, reads no clock.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Final

from node.consensus.bft.early import PEERS_MAX, EarlyMessages
from node.consensus.bft.evidence import conviction
from node.consensus.bft.evidence_pool import EvidencePool
from node.consensus.bft.inspection import inspect_evidence, inspect_machine
from node.consensus.bft.messages import Decided, Evidence, Polka, Proposal, Statement, Status, decode
from node.consensus.bft.round_machine import RoundMachine, Step
from node.consensus.bft.seals import encode_seal
from node.consensus.bft.standing import Inquiry, Listener, Standing
from node.consensus.bft.timeouts import Timeouts
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
    SignAndSend,
    Started,
    TimerFired,
    TimerKey,
    Triage,
    TrustLog,
)
from node.consensus.validators import ValidatorSet
from node.primitives.scalars import Address, Hash32
from node.types.blocks import Header

PAST_HEIGHTS_MAX: Final = 8
EVIDENCE_SENT_MAX: Final = 16
"""Convictions told to a new peer."""
SLOW_SHARE_MAX: Final = 4
"""Slow execution lengthens timer propose by at most this many times its base."""

BUILD_MS_MAX: Final = 333
"""How long a proposer executes transactions at most; less while nobody has seen blocks that take long."""

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
        self._listener: Listener | None = None
        """The log is new: where may a lost one have voted?"""
        self._start_is_due = False
        self._start_ms = 0
        self._executing_ms: dict[bytes, int] = {}
        self._execution_ms = 0
        """How long blocks took to execute lately: the longest, fading by an eighth a height."""
        self._last_decided_wall_ms = 0
        self._past: dict[int, VoteKeeper] = {}
        """Votes of the last decided heights: a late one may convict."""
        self._early = EarlyMessages()
        self._decided_ahead: dict[int, Decided] = {}
        self._peer_heights: dict[bytes, int] = {}
        self._answered_ms: dict[bytes, int] = {}
        self._answered_inquiry_ms: dict[bytes, int] = {}

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
            self._ask(event.peer)
            for evidence in self.evidence.pending(self.validators)[:EVIDENCE_SENT_MAX]:
                self._emit(SendTo(event.peer, evidence))
        elif isinstance(event, PeerDown):
            self._early.forget(event.peer)
            self._peer_heights.pop(event.peer, None)
            self._answered_ms.pop(event.peer, None)
            self._answered_inquiry_ms.pop(event.peer, None)

    def _learn_set(self, block_hash: Hash32, validators: ValidatorSet | None) -> None:
        if validators is not None and self._sets_change:
            self._sets[block_hash] = validators

    def triage(self, message: ConsensusMessage) -> Triage:
        """Whether a message, or what it claims (``decode_claim``), is worth verifying. Cheap; changes nothing."""
        if self._machine is None:
            return Triage(False, "not started")
        return triage_message(message, self._machine, self.evidence, self._past, self._listener)

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
        self._sets_change = event.validators is not None
        self.validators = event.validators or self.validators
        if event.watch_only:
            self._emit(Note("watching only", {"why": event.watch_only}, "error"))
            self._me = None
        if event.new_log and self._me is not None:
            self._listener = Listener(self._me, self._next_chance() ^ event.at.wall_ms)
        machine = self._enter(event.head)
        for stored in event.evidence:
            self._restore_evidence(stored)
        try:
            machine.restore(_signed_at(machine.height, event.records))
        except MalformedMessage as error:
            self._watch_only = f"consensus log: {error}"
            self._me = machine.me = None
            self._emit(Note("watching only", {"why": self._watch_only}, "error"))
        young = event.new_log or not (event.head.number or event.records)
        wait_ms = min(self.settings.block_time_ms, 1000) if young else self.settings.boot_wait_ms
        self._schedule_start(self._at.monotonic_ms + wait_ms)
        self._emit(SetTimer(_STATUS_TIMER, self._gossip_delay()))
        self._emit(SendTo(None, machine.status()))
        self._ask(None)

    def _enter(self, head: Header) -> RoundMachine:
        timeouts = self.settings.timeouts
        self._executing_ms.clear()
        self._start_is_due = False
        pending = (lambda: self.evidence.known.values()) if self._sets_change else None
        machine = RoundMachine(
            head,
            self.validators,
            self._voter(head.number + 1),
            self._patient(timeouts),
            min(BUILD_MS_MAX, timeouts.propose_ms // 3 + 2 * self._execution_ms),
            self._emit,
            pending,
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
        # who started before it knows whether it may vote would let its turn in this round go by
        self._start_is_due = self._is_unsure()
        if not machine.started and not self._start_is_due:
            self._start_ms = min(self._start_ms, self._at.monotonic_ms)
            self._emit(CancelTimer(TimerKey("start", machine.height)))
            machine.start()

    def _after(self) -> None:
        """Join a height that others are in, and take every decision that has become possible."""
        while True:
            machine = self.machine
            if machine.decision is not None:
                self._decide(machine.decision)
            elif not machine.started and machine.wants_to_start() and not self._is_unsure():
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
        for message in self._early.take(height):
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
        elif isinstance(message, Inquiry) and peer is not None:
            self._on_inquiry(peer, message)
        elif isinstance(message, Standing):
            self._on_standing(message)

    def _on_statement(self, peer: bytes | None, message: Statement | Proposal) -> None:
        ahead = message.height - self.height
        if ahead == 0:
            if peer is None:
                self.machine.on_own(message)
            elif message.round <= self._round_max():
                self._hear(message)
        elif 0 < ahead <= HEIGHTS_AHEAD_MAX and peer is not None:
            self._early.keep(peer, message)
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

    def _on_decided(self, decided: Decided) -> None:
        ahead = decided.block.number - self.height
        if ahead == 0:
            self.machine.on_decided(decided)
        elif 0 < ahead <= DECIDED_AHEAD_MAX and certificate_has_quorum(decided.certificate, self.validators):
            self._decided_ahead.setdefault(decided.block.number, decided)

    # --- a new log -------------------------------------------------------------------------------

    def _voter(self, height: int) -> Address | None:
        """Me, unless a lost log may have voted at this height."""
        if self._listener is not None and height:
            through = self._listener.silent_through(self.validators)
            if through is None or height <= through:
                return None
            self._listener = None
            self._emit(TrustLog())
        return self._me

    def _is_unsure(self) -> bool:
        return self._listener is not None and self._listener.silent_through(self.validators) is None

    def _ask(self, peer: bytes | None) -> None:
        if self._listener is not None and self._listener.lacks_answers(self.validators):
            self._emit(SendTo(peer, self._listener.inquiry))

    def _on_inquiry(self, peer: bytes, inquiry: Inquiry) -> None:
        if self._me is None or not self._may_answer(self._answered_inquiry_ms, peer):
            return
        asker, keepers = inquiry.validator, (self.machine.votes, *self._past.values())
        heard = any(votes.has_voted(asker) for votes in keepers)
        self._emit(SignAndSend(peer, Standing(asker, inquiry.number, self.height, heard, self._me)))

    def _on_standing(self, answer: Standing) -> None:
        listener, machine = self._listener, self.machine
        if listener is None:
            return
        listener.hear(answer)
        through = listener.silent_through(self.validators)
        voter = self._voter(machine.height)
        if voter is not None:
            machine.me = voter if voter in self.validators else None
            machine.evaluate()
        elif through is not None and listener.is_news(through):
            facts = {"through": through, "why": "the consensus log is new but the network is not"}
            self._emit(Note("not voting yet", facts, "warning"))
        if self._start_is_due:
            self._start_height()

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
            self._ask(None)
            self._emit(SetTimer(_STATUS_TIMER, self._gossip_delay()))
        elif key.height != self.height:
            return
        elif key.kind == "start":
            self._start_height()
        else:
            self.machine.on_timer(key.kind, key.round)

    def _next_chance(self) -> int:
        self._jitter = (self._jitter * 6364136223846793005 + 1442695040888963407) & (2**64 - 1)
        return self._jitter

    def _gossip_delay(self) -> int:
        spread = max(1, self.settings.gossip_ms // 4)
        return self.settings.gossip_ms - spread // 2 + (self._next_chance() >> 33) % spread

    def _on_status(self, peer: bytes, status: Status) -> None:
        if peer in self._peer_heights or len(self._peer_heights) < PEERS_MAX:
            self._peer_heights[peer] = status.height
        if not self._may_answer(self._answered_ms, peer):
            return
        if status.height < self.height:
            last = min(self.height - 1, status.height + DECIDED_AHEAD_MAX - 1)
            self._emit(SendDecided(peer, max(1, status.height), last))
        elif status.height == self.height:
            self._answer_same_height(peer, status)
        else:
            self._emit(SendTo(peer, self.machine.status()))

    def _may_answer(self, answered_ms: dict[bytes, int], peer: bytes) -> bool:
        """At most so often a peer, for a bounded number of them."""
        now_ms, wait_ms = self._at.monotonic_ms, self.settings.gossip_ms // 4
        last_ms = answered_ms.get(peer)
        if (last_ms is None and len(answered_ms) >= PEERS_MAX) or (last_ms is not None and now_ms - last_ms < wait_ms):
            return False
        answered_ms[peer] = now_ms
        return True

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
