"""The pos engine: slots, duties, imports and marks over the block tree. Holds no key, reads no clock.

    slot start ─▶ tick, count waiting votes, head ─▶ my turn? pack, build ─▶ sign ─▶ publish ─▶ insert
    slot / 3, or a block of this slot came ─▶ members of the committee attest
    block ─▶ rules ─▶ execute ─▶ insert, store ─▶ head, marks ─▶ children that waited

Only blocks that full execution found valid enter the tree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from node.consensus.engine import (
    BuildPayload,
    ConsensusMessage,
    Effect,
    ExecutePayload,
    Forkchoice,
    Input,
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
    SendTo,
    SetTimer,
    SignAndPublish,
    Started,
    StoreBlock,
    TimerFired,
    TimerKey,
    Triage,
)
from node.consensus.pos.block_tree import BlockTree
from node.consensus.pos.caution import Caution, is_unsure
from node.consensus.pos.exchange import Exchange, WaitingBlocks
from node.consensus.pos.fork_choice import Refused
from node.consensus.pos.inspection import inspect_engine
from node.consensus.pos.messages import (
    ATTESTATIONS_MAX,
    SLASHINGS_MAX,
    Attestation,
    Body,
    GetBlocksByRange,
    GetBlocksByRoot,
    SignedBlock,
    SignedHeader,
    Slashing,
    Status,
    conviction,
)
from node.consensus.pos.rules import PosRules
from node.consensus.pos.seals import decode_seal, encode_seal
from node.consensus.pos.state import ChainState, InvalidTransition, genesis_state
from node.consensus.pos.statement_pool import EPOCHS_KEPT, StatementPool
from node.consensus.pos.triage import SLOTS_AHEAD_MAX, triage_message, triage_vote
from node.consensus.proposal_fields import prev_randao
from node.primitives.scalars import Address, Hash32
from node.types.blocks import Block

EXECUTING_MAX: Final = 64
TREE_MAX: Final = 8192
"""Unfinalized blocks kept; beyond it only the head's own chain grows."""
INVALID_MAX: Final = 512
UNCOUNTED_MAX: Final = 4096


@dataclass(frozen=True, slots=True)
class PosSettings:
    """Local choices; validators need not agree on them."""

    build_share: int = 4
    """Building may take this part of a slot (one fourth)."""
    attest_share: int = 3
    """Attestations are due after this part of a slot (one third)."""


@dataclass(frozen=True, slots=True)
class _Executing:
    signed: SignedBlock
    state: ChainState
    timely: bool


class PosEngine:
    """Simplified Gasper as a sans-I/O engine. ``keys``: the validators that sign here; none for a follower."""

    name = "pos"

    def __init__(self, rules: PosRules, keys: Sequence[Address] = (), settings: PosSettings | None = None) -> None:
        self.rules = rules
        self.settings = settings or PosSettings()
        self.keys: tuple[Address, ...] = tuple(key for key in keys if key in rules.validators)
        self.watch_only = ""
        self.pool = StatementPool()
        self.marks: tuple[Hash32, Hash32, Hash32] | None = None
        """Head, safe, finalized as last told to the chain."""
        self.waiting = WaitingBlocks()
        self._tree: BlockTree | None = None
        self._exchange: Exchange | None = None
        self._out: list[Effect] = []
        self._at = Moment(0, 0)
        self._duty_slot = -1
        self._attested_slot = -1
        self._caution = Caution()
        self._building: dict[int, Body] = {}
        self._built: dict[bytes, int] = {}
        self._executing: dict[bytes, _Executing] = {}
        self._invalid: dict[bytes, str] = {}
        self._uncounted: list[Attestation] = []

    # --- Engine ----------------------------------------------------------------------------------

    @property
    def height(self) -> int:
        """The number of the block after the head."""
        return self.tree.head().header.number + 1 if self._tree else 0

    @property
    def tree(self) -> BlockTree:
        """The unfinalized blocks. Only after Started."""
        assert self._tree is not None, "the first input is Started"
        return self._tree

    @property
    def exchange(self) -> Exchange:
        """Requests and answers. Only after Started."""
        assert self._exchange is not None, "the first input is Started"
        return self._exchange

    def handle(self, event: Input) -> list[Effect]:
        """Advance by one input."""
        self._out = []
        self._at = event.at
        if isinstance(event, Started):
            self._on_started(event)
        elif self._tree is not None:
            self._dispatch(event)
        return self._out

    def _dispatch(self, event: Input) -> None:
        if isinstance(event, TimerFired):
            self._on_timer(event.key)
        elif isinstance(event, MessageReceived):
            self._on_message(event.peer, event.message)
        elif isinstance(event, PayloadStatus):
            self._on_executed(event)
        elif isinstance(event, PayloadBuilt):
            self._on_built(event)
        elif isinstance(event, PeerUp):
            self._emit(SendTo(event.peer, self.exchange.status()))
        elif isinstance(event, PeerDown):
            self.exchange.on_peer_down(event.peer)

    def triage(self, message: ConsensusMessage) -> Triage:
        """Whether a message, or what it claims, is worth verifying. Cheap; changes nothing."""
        if self._tree is None:
            return Triage(False, "not started")
        return triage_message(message, self._tree, self.pool, self._known)

    def _known(self, header: SignedHeader) -> str:
        """Why a block is not wanted again, or not at all; "" when it is."""
        root = header.block_hash
        if root in self.tree or root in self._executing or root in self.waiting:
            return "block already held"
        if root in self._invalid:
            return "block known to be invalid"
        if header.proposer in self.pool.evidence and not self.waiting.wants(root):
            # two blocks convict; of further ones only those that others have built on are executed
            executing = [held.signed for held in self._executing.values()]
            held = [*executing, *(block.signed for block in self.tree.blocks.values() if block.signed is not None)]
            twins = sum((one.at_slot, one.validator) == (header.at_slot, header.proposer) for one in held)
            return "its proposer has two blocks in this slot" if twins > 1 else ""
        return ""

    def progress(self) -> dict[str, int] | None:
        """Block numbers that a catch-up stands at ("from") and goes "to"; None when there is none."""
        return self.exchange.progress if self._tree is not None else None

    def inspect(self) -> dict[str, object]:
        """State for RPC, in JSON types."""
        return inspect_engine(self, self._tree, self._at.wall_ms, len(self._executing), len(self._uncounted))

    # --- boot ------------------------------------------------------------------------------------

    def _on_started(self, event: Started) -> None:
        anchor = event.finalized or (event.blocks[0][0].header if event.blocks else event.head)
        try:
            state = genesis_state(anchor.hash) if anchor.number == 0 else decode_seal(*event.blocks[0])[1]
        except (MalformedMessage, IndexError) as error:
            self.watch_only = f"the finalized block's seal cannot be read: {error}"
            self._emit(Note("cannot start", {"why": self.watch_only}, "error"))
            return
        if event.watch_only:
            self.watch_only, self.keys = event.watch_only, ()
            self._emit(Note("watching only", {"why": event.watch_only}, "error"))
        slot = self.rules.slot_at(event.at.wall_ms)
        epoch = self.rules.epoch(slot)
        if is_unsure(event, self.keys):
            self._caution = Caution(epoch, alone=len(self.keys) == len(self.rules.validators))
            if self._caution.from_epoch:
                self._emit(Note("new log: signing later", {"from_epoch": self._caution.from_epoch}, "warning"))
        self._tree = BlockTree(self.rules, anchor, state, slot)
        self._exchange = Exchange(self._tree, self.pool)
        for block, seal in event.blocks:
            if block.hash not in self._tree:
                self._replay(block, seal)
        for slashing in self.pool.restored(event.evidence):
            self._hear(slashing)
        self._tree.store.tick(slot)
        self._move_marks()
        self._duty_slot = self._attested_slot = slot if self._past_attesting(slot) else slot - 1
        self._set_slot_timers(slot)
        self._emit(SendTo(None, self.exchange.status()))

    def _replay(self, block: Block, seal: bytes) -> None:
        try:
            signed, _ = decode_seal(block, seal)
            self.tree.insert(signed, self.tree.check(signed), timely=False)
        except (MalformedMessage, InvalidTransition, Refused) as error:
            self._emit(Note("stored block left out", {"hash": block.hash, "why": str(error)}, "warning"))
            return
        self._hear_statements(signed)

    # --- time ------------------------------------------------------------------------------------

    def _due_ms(self, slot: int) -> int:
        return self.rules.start_ms(slot) + self.rules.slot_ms // self.settings.attest_share

    def _past_attesting(self, slot: int) -> bool:
        return self._at.wall_ms >= self._due_ms(slot)

    def _set_slot_timers(self, slot: int) -> None:
        next_ms = self.rules.start_ms(slot + 1) - self._at.wall_ms
        self._emit(SetTimer(TimerKey("slot"), max(1, next_ms)))
        if slot > self._attested_slot:
            self._emit(SetTimer(TimerKey("attest"), max(1, self._due_ms(slot) - self._at.wall_ms)))

    def _on_timer(self, key: TimerKey) -> None:
        slot = self.rules.slot_at(self._at.wall_ms)
        if key.kind == "slot":
            if slot > self._duty_slot:
                self._begin_slot(slot)
            self._set_slot_timers(slot)
        elif key.kind == "attest" and slot > self._attested_slot:
            if self._past_attesting(slot):
                self._attest(slot)
            else:
                self._set_slot_timers(slot)

    def _begin_slot(self, slot: int) -> None:
        """Tick and count what waited, THEN take the head: a proposer that does not is reorganised."""
        self._duty_slot = slot
        self._catch_up_clock(slot)
        self._move_marks()
        self._propose(slot)
        self._emit(SendTo(None, self.exchange.status()))

    def _catch_up_clock(self, slot: int) -> None:
        epoch = self.tree.store.epoch
        self.tree.store.tick(slot)
        if self.tree.store.epoch > epoch:
            self.pool.forget_before(self.tree.store.epoch)
        self._count_waiting()
        for signed, peer in self.waiting.begun(slot, self.tree):
            self._consider(signed, peer)
        self._building = {request: body for request, body in self._building.items() if request >= slot}
        self._built = {root: at_slot for root, at_slot in self._built.items() if at_slot + 2 > slot}

    # --- duties ----------------------------------------------------------------------------------

    def _may_act(self, slot: int) -> bool:
        may = self.rules.epoch(slot) >= self._caution.from_epoch and not self.exchange.catching_up
        return may and bool(self.keys)

    def _propose(self, slot: int) -> None:
        if slot == 0 or not self._may_act(slot):
            return
        head = self.tree.head()
        state = self.tree.state_at(head.header.hash, slot)
        index = self.tree.transition.duties(state, self.rules.epoch(slot)).proposer(slot)
        proposer = self.rules.validators.addresses[index]
        if proposer not in self.keys or state.slashed >> index & 1 or head.state.slot >= slot:
            return
        epoch = self.rules.epoch(slot)
        votes = [vote for one in (epoch, epoch - 1) for vote in self.pool.votes(one).values()]
        limits = (ATTESTATIONS_MAX, SLASHINGS_MAX)
        attestations, slashings = self.tree.transition.packed(state, votes, self.pool.evidence.values(), limits)
        body = Body(slot, proposer, attestations, slashings)
        self._building[slot] = body
        self._emit(
            BuildPayload(
                slot,
                head.header.hash,
                head.header.number + 1,
                self.rules.timestamp(slot),
                prev_randao(head.header.hash),
                body.root,
                self.rules.slot_ms // self.settings.build_share,
            )
        )

    def _on_built(self, event: PayloadBuilt) -> None:
        body = self._building.pop(event.request, None)
        if body is None:
            return
        if event.block is None:
            self._emit(Note("building failed", {"slot": event.request, "why": event.problem}, "warning"))
        elif self.rules.slot_at(self._at.wall_ms) != body.at_slot:
            self._emit(Note("built too late", {"slot": body.at_slot}, "warning"))
        else:
            self._built[event.block.hash] = body.at_slot
            self._emit(SignAndPublish(SignedBlock(event.block, body)))

    def _attest(self, slot: int) -> None:
        self._attested_slot = slot
        if slot == 0 or not self._may_act(slot):
            return
        self._catch_up_clock(slot)
        head = self.tree.store.head()
        committee = self.tree.duties(head, self.rules.epoch(slot)).committee(slot)
        vote = self.tree.vote(head, slot)
        for index in committee if self._caution.allows_vote(vote, self.pool) else ():
            validator = self.rules.validators.addresses[index]
            if validator in self.keys:
                self._emit(SignAndPublish(replace(vote, validator=validator)))

    # --- messages --------------------------------------------------------------------------------

    def _on_message(self, peer: bytes | None, message: ConsensusMessage) -> None:
        if isinstance(message, SignedBlock):
            self._hear(self.pool.add_header(message.header))
            self._consider(message, peer)
        elif isinstance(message, Attestation):
            self._on_attestation(peer, message)
        elif isinstance(message, Slashing):
            if self.pool.add_evidence(message):
                self._hear(message, publish=False)
        elif peer is None:
            return
        elif isinstance(message, Status):
            self._caution.hear(message)
            self._emit(*self.exchange.on_status(peer, message, self.waiting))
        elif isinstance(message, GetBlocksByRoot):
            self._emit(*self.exchange.on_by_root(peer, message))
        elif isinstance(message, GetBlocksByRange):
            self._emit(*self.exchange.on_by_range(peer, message))

    def _hear(self, slashing: Slashing | None, publish: bool = True) -> None:
        """New evidence: a double voter's votes count no more; the next block of ours carries it."""
        if slashing is None:
            return
        if isinstance(slashing.first, Attestation):
            self.tree.discard(slashing.validator)
        self._emit(RecordEvidence(slashing.validator, conviction(slashing), slashing))
        if publish:
            self._emit(Publish(slashing))

    def _on_attestation(self, peer: bytes | None, vote: Attestation) -> None:
        if not triage_vote(vote, self.tree, self.pool).wanted:
            return
        self._hear(self.pool.add_vote(vote))
        self._count(vote)
        if vote.head not in self.tree and vote.head not in self._executing:
            self._emit(*self.exchange.ask_for(self.waiting.oldest_missing(vote.head), peer, tip=True))

    def _count(self, vote: Attestation) -> None:
        try:
            self.tree.count(vote)
        except Refused as refusal:
            if refusal.early and vote.target.epoch + 1 >= self.tree.store.epoch:
                self._uncounted.append(vote)
                del self._uncounted[:-UNCOUNTED_MAX]

    def _count_waiting(self) -> None:
        waiting, self._uncounted = self._uncounted, []
        for vote in waiting:
            self._count(vote)

    def _hear_statements(self, signed: SignedBlock) -> None:
        """A block's votes and evidence are heard like any others."""
        self.pool.add_header(signed.header)
        for slashing in signed.body.slashings:
            if self.pool.add_evidence(slashing):
                self._hear(slashing, publish=False)
        for vote in signed.body.attestations:
            if vote.target.epoch + EPOCHS_KEPT >= self.tree.store.epoch:
                self._hear(self.pool.add_vote(vote))

    # --- blocks ----------------------------------------------------------------------------------

    def _consider(self, signed: SignedBlock, peer: bytes | None) -> None:
        """Judge a block by consensus rules and have it executed, or let it wait."""
        root, parent = signed.block.hash, signed.block.header.parent_hash
        if root in self.tree or root in self._executing or root in self._invalid:
            return
        slot = self.rules.slot_at(self._at.wall_ms)
        if slot > self.tree.store.slot:
            # the block is here before our own slot timer
            self._begin_slot(slot)
            self._set_slot_timers(slot)
        if signed.at_slot > slot + SLOTS_AHEAD_MAX or (parent in self._invalid):
            return
        if parent not in self.tree or signed.at_slot > slot or len(self._executing) >= EXECUTING_MAX:
            self.waiting.add(signed, peer)
            if parent not in self.tree and parent not in self._executing:
                self._emit(*self.exchange.ask_for(self.waiting.oldest_missing(parent), peer))
            return
        if len(self.tree.blocks) >= TREE_MAX and parent != self.tree.store.head():
            return
        try:
            state = self.tree.check(signed)
        except (InvalidTransition, Refused) as problem:
            self._refuse(root, signed.validator, str(problem))
            return
        timely = signed.at_slot == slot and not self._past_attesting(slot)
        held = _Executing(signed, state, timely)
        if root in self._built and peer is None:
            self._insert(held)
        else:
            self._executing[root] = held
            self._emit(ExecutePayload(signed.block))

    def _refuse(self, root: bytes, proposer: Address, why: str) -> None:
        self._invalid[root] = why
        if len(self._invalid) > INVALID_MAX:
            del self._invalid[next(iter(self._invalid))]
        # whoever brought it may have passed it on unread, as all do: the blame is its proposer's
        self._emit(Note("block refused", {"hash": root, "proposer": proposer, "why": why}, "warning"))

    def _on_executed(self, event: PayloadStatus) -> None:
        held = self._executing.pop(event.block_hash, None)
        if held is None:
            return
        if event.valid:
            self._insert(held)
        else:
            self._refuse(event.block_hash, held.signed.validator, event.reason)
            self.waiting.children_of(event.block_hash)

    def _insert(self, held: _Executing) -> None:
        signed, root = held.signed, held.signed.block.hash
        slot = self.rules.slot_at(self._at.wall_ms)
        self.tree.store.tick(slot)
        # a timely block that took long to execute gets no boost in a later slot
        timely = held.timely and signed.at_slot == self.tree.store.slot
        try:
            self.tree.insert(signed, held.state, timely)
        except Refused as refusal:
            self._emit(Note("block left out", {"hash": root, "why": str(refusal)}))
            return
        self._emit(StoreBlock(signed.block, encode_seal(signed, held.state)))
        self._hear_statements(signed)
        self._count_waiting()
        self._move_marks()
        if signed.at_slot == slot and slot > self._attested_slot:
            self._attest(slot)
        self._emit(*self.exchange.on_imported(signed.block.number, signed.at_slot))
        for child, peer in self.waiting.children_of(root):
            self._consider(child, peer)

    def _move_marks(self) -> None:
        """Tell the chain where head, safe and finalized are; forget what finality has cut off.

        Votes that finalize a checkpoint do so whether or not their epoch is over, so the mark does not wait for
        the store to adopt it; it only must lie below the head.
        """
        store = self.tree.store
        head, justified, finalized = store.head(), store.finality.justified.root, store.finality.finalized.root
        ahead = store.unrealized.finalized
        if ahead.epoch > store.finality.finalized.epoch and store.is_ancestor(ahead.root, head):
            finalized = ahead.root
        told = self.marks[2] if self.marks else finalized
        if told in self.tree and self.tree.blocks[told].header.number > self.tree.blocks[finalized].header.number:
            finalized = told
        if not store.is_ancestor(finalized, head):
            # on a branch that the coming epoch cuts off; or, if it stays, more than a third is faulty
            self._emit(Note("head is not on the finalized chain", {"head": head, "finalized": finalized}, "warning"))
            return
        safe = justified if store.is_ancestor(finalized, justified) else finalized
        marks = (Hash32(head), Hash32(safe), Hash32(finalized))
        if marks == self.marks:
            return
        self.marks = marks
        self._emit(Forkchoice(*marks))
        if self.tree.prune():
            self.waiting.forget_through(self.tree.finalized().state.slot)

    def _emit(self, *effects: Effect) -> None:
        self._out.extend(effects)
