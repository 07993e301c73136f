"""One bft engine on a bench: we play the other validators, the EVM and the clock.

With ``contract`` the state holds the validator set: headers commit to bodies, answers carry the set after a block.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from network.simulator.level1.nodes import (
    LogDisk,
    TagKey,
    execute,
    genesis_block,
    make_block,
    make_raw_block,
)
from node.consensus.bft.body import beacon_root
from node.consensus.bft.core import BftEngine, BftSettings
from node.consensus.bft.messages import (
    NIL,
    NONE,
    Certificate,
    ChainDomain,
    Decided,
    Evidence,
    Kind,
    Polka,
    Proposal,
    Statement,
    decode,
)
from node.consensus.engine import (
    BuildPayload,
    ConsensusMessage,
    Decide,
    Effect,
    ExecutePayload,
    Input,
    MessageReceived,
    Moment,
    Note,
    PayloadBuilt,
    PayloadStatus,
    Publish,
    RecordEvidence,
    SendTo,
    SetTimer,
    SignAndPublish,
    SignAndSend,
    Started,
    TimerFired,
    TimerKey,
    TrustLog,
)
from node.consensus.journal import Journal
from node.consensus.proposal_fields import prev_randao
from node.consensus.signer import Signer
from node.consensus.validator_contract import weight_slot
from node.consensus.validators import Validator, ValidatorSet
from node.crypto.hashes import EMPTY_TRIE_ROOT, keccak256
from node.primitives.scalars import Address, Hash32
from node.types.blocks import Block, Header
from node.types.operations import Operation, SetStorage

WALL_MS = 1_700_000_000_000


class Bench:
    """Validators are numbered in address order; ``me`` is the one whose engine runs."""

    def __init__(
        self,
        me: int | None = 0,
        nodes: int = 4,
        weights: Sequence[int] = (),
        settings: BftSettings | None = None,
        factory: Callable[..., BftEngine] = BftEngine,
        start: bool = True,
        contract: bool = False,
        lost: bool = False,
    ) -> None:
        """``lost``: a new log may stand where an older one was."""
        addresses = sorted(Address(keccak256(b"bench %d" % index)[:20]) for index in range(nodes))
        self.addresses = addresses
        self.validators = ValidatorSet(
            Validator(address, weight) for address, weight in zip(addresses, weights or [1] * nodes, strict=True)
        )
        self.me = me
        self.lost = lost
        self.settings = settings or BftSettings()
        self.factory = factory
        self.contract = contract
        self.genesis = self._full(genesis_block(), Hash32(bytes(32))) if contract else genesis_block()
        self.sets: dict[Hash32, ValidatorSet] = {self.genesis.hash: self.validators}
        """The set after each block that was built or executed here."""
        self.domain = ChainDomain(1, self.genesis.hash)
        self.disk = LogDisk()
        self.chain: list[Block] = [self.genesis]
        self.now_ms = 0
        self.published: list[ConsensusMessage] = []
        """Everything that left for everybody, in order."""
        self.sent: list[tuple[bytes | None, ConsensusMessage]] = []
        self.notes: list[Note] = []
        self.evidence: list[RecordEvidence] = []
        self.effects: list[Effect] = []
        self.timers: dict[TimerKey, int] = {}
        self.builds: list[BuildPayload] = []
        self.executions: list[Block] = []
        self.hold_builds = False
        self.hold_executions = False
        self.boot(start)

    # --- running ---------------------------------------------------------------------------------

    def boot(self, start: bool = True) -> None:
        """(Re)start from the disk and, unless told not to, enter the height."""
        key = TagKey(self.addresses[self.me or 0])
        journal = Journal(self.disk, self.genesis.hash, key.address, self.head.number, adopt_missing=True)
        self.journal = journal
        self.signer = Signer(key, self.domain, journal, decode, self.head.number)
        self.engine = self.factory(self.validators, key.address if self.me is not None else None, self.settings, 7)
        self.timers.clear()
        validators = self.sets[self.chain[-1].hash] if self.contract else None
        evidence = tuple(record.evidence.encode() for record in self.evidence)
        records, is_new, damage = journal.records, journal.is_new and self.lost, journal.damage
        self.handle(
            Started(self.moment(), self.head, records, is_new, damage, validators=validators, evidence=evidence)
        )
        if start:
            self.fire("start")

    @property
    def head(self) -> Header:
        """The last decided header."""
        return self.chain[-1].header

    @property
    def machine(self):
        """The rules of the current height."""
        return self.engine.machine

    def moment(self) -> Moment:
        """Now."""
        return Moment(self.now_ms, WALL_MS + self.now_ms)

    def handle(self, event: Input) -> None:
        """One input and everything that follows from it."""
        inputs = [event]
        while inputs:
            effects = self.engine.handle(inputs.pop(0))
            self.effects.extend(effects)
            for effect in effects:
                inputs.extend(self._perform(effect))

    def _perform(self, effect: Effect) -> list[Input]:
        if isinstance(effect, SignAndPublish):
            message = self.signer.sign(effect.draft, effect.proof)
            self.published.append(message)
            return [MessageReceived(self.moment(), None, message)]
        if isinstance(effect, Publish):
            self.published.append(effect.message)
        elif isinstance(effect, TrustLog):
            self.journal.trust()
        elif isinstance(effect, SignAndSend):
            self.sent.append((effect.peer, self.signer.sign_unrecorded(effect.message)))
        elif isinstance(effect, SendTo):
            self.sent.append((effect.peer, effect.message))
        elif isinstance(effect, SetTimer):
            self.timers[effect.key] = effect.after_ms
        elif isinstance(effect, Note):
            self.notes.append(effect)
        elif isinstance(effect, RecordEvidence):
            self.evidence.append(effect)
        elif isinstance(effect, Decide):
            self.chain.append(effect.block)
            self.signer.decided(effect.block.number)
        elif isinstance(effect, BuildPayload):
            self.builds.append(effect)
            return [] if self.hold_builds else [self.built(effect)]
        elif isinstance(effect, ExecutePayload):
            self.executions.append(effect.block)
            return [] if self.hold_executions else [self.executed(effect.block, effect.operations)]
        return []

    @staticmethod
    def _full(block: Block, beacon_root: Hash32) -> Block:
        """The block with a header that commits to a consensus body."""
        header = replace(
            block.header,
            base_fee_per_gas=7,
            withdrawals_root=EMPTY_TRIE_ROOT,
            blob_gas_used=0,
            excess_blob_gas=0,
            parent_beacon_block_root=beacon_root,
        )
        return Block(header, (), (), ())

    def _set_after(self, block: Block, operations: Sequence[Operation]) -> ValidatorSet | None:
        if not self.contract:
            return None
        before = self.sets[block.header.parent_hash]
        slots = [operation.slot for operation in operations if isinstance(operation, SetStorage)]
        left = [one for one in before.validators if weight_slot(one.address) not in slots]
        return self.sets.setdefault(block.hash, ValidatorSet(left))

    def built(self, effect: BuildPayload) -> PayloadBuilt:
        """The answer to a build request."""
        block = make_block(self.head, effect, b"mine %d" % effect.request, self.addresses[self.me or 0])
        if self.contract:
            block = self._full(block, effect.parent_beacon_block_root)
        validators = self._set_after(block, effect.operations)
        return PayloadBuilt(self.moment(), effect.request, block, validators=validators)

    def executed(self, block: Block, operations: Sequence[Operation] = ()) -> PayloadStatus:
        """The answer to an execution request."""
        if block.header.state_root != execute(self.head.state_root, block.header.extra_data):
            return PayloadStatus(self.moment(), block.hash, False, "INVALID_STATE_ROOT")
        return PayloadStatus(self.moment(), block.hash, True, validators=self._set_after(block, operations))

    def fire(self, kind: str, round_number: int = 0) -> None:
        """Let a timer of the current height run out."""
        self.handle(TimerFired(self.moment(), TimerKey(kind, self.engine.height, round_number)))

    def hear(self, *messages: ConsensusMessage, peer: bytes = b"peer") -> None:
        """Messages arrive one by one."""
        for message in messages:
            self.handle(MessageReceived(self.moment(), peer, message))

    # --- what the others say ---------------------------------------------------------------------

    def block(
        self,
        payload: bytes,
        *,
        wrong_root: bool = False,
        timestamp: int | None = None,
        evidence: Sequence[Evidence] = (),
    ) -> Block:
        """A block on the current head that commits to ``evidence``."""
        head = self.head
        root = keccak256(b"wrong") if wrong_root else None
        when = head.timestamp + 1 if timestamp is None else timestamp
        block = make_raw_block(head, when, prev_randao(head.hash), payload, self.addresses[-1], root)
        return self._full(block, beacon_root(head.hash, evidence)) if self.contract else block

    def _statement(self, kind: Kind, who: int, round_number: int, value: Hash32, valid_round: int) -> Statement:
        key = TagKey(self.addresses[who])
        height = self.engine.height
        return Statement(kind, height, round_number, value, valid_round, key.address).signed(key.sign(b""))

    def proposer(self, round_number: int) -> int:
        """The number of the round's proposer."""
        return self.addresses.index(self.validators.proposer(self.engine.height, round_number))

    def proposal(
        self,
        round_number: int,
        block: Block,
        valid_round: int = NONE,
        polka: Certificate | None = None,
        by: int | None = None,
        evidence: Sequence[Evidence] = (),
    ) -> Proposal:
        """A signed proposal by the right proposer (or ``by``)."""
        who = self.proposer(round_number) if by is None else by
        statement = self._statement(Kind.PROPOSAL, who, round_number, block.hash, valid_round)
        return Proposal(statement, block, polka, tuple(evidence))

    def prevotes(
        self, round_number: int, block: Block | None, who: Sequence[int], valid_round: int = NONE
    ) -> list[Statement]:
        """Prevotes for a block, or nil."""
        value = block.hash if block else NIL
        return [self._statement(Kind.PREVOTE, one, round_number, value, valid_round) for one in who]

    def precommits(self, round_number: int, block: Block | None, who: Sequence[int]) -> list[Statement]:
        """Precommits for a block, or nil."""
        value = block.hash if block else NIL
        return [self._statement(Kind.PRECOMMIT, one, round_number, value, NONE) for one in who]

    def certificate(
        self, kind: Kind, round_number: int, block: Block, who: Sequence[int], valid_round: int = NONE
    ) -> Certificate:
        """Votes of several for a block."""
        pairs = sorted((self.addresses[one], TagKey(self.addresses[one]).sign(b"")) for one in who)
        return Certificate(kind, block.number, round_number, block.hash, valid_round, tuple(pairs))

    def polka(self, round_number: int, block: Block, who: Sequence[int] = (1, 2, 3), valid_round: int = NONE) -> Polka:
        """A polka message."""
        return Polka(block, self.certificate(Kind.PREVOTE, round_number, block, who, valid_round))

    def decided(
        self, round_number: int, block: Block, who: Sequence[int] = (1, 2, 3), evidence: Sequence[Evidence] = ()
    ) -> Decided:
        """A decided message."""
        return Decided(block, self.certificate(Kind.PRECOMMIT, round_number, block, who), tuple(evidence))

    def equivocation(self, who: int, height: int | None = None) -> Evidence:
        """Two precommits of one validator in one slot."""
        key = TagKey(self.addresses[who])
        first, second = (
            Statement(Kind.PRECOMMIT, height or self.engine.height, 0, value, NONE, key.address).signed(key.sign(b""))
            for value in (Hash32(b"\x01" * 32), Hash32(b"\x02" * 32))
        )
        return Evidence(first, second)

    def nil_round(self, round_number: int) -> None:
        """A round in which everybody else votes nil and every timer runs out."""
        self.fire("propose", round_number)
        self.hear(*self.prevotes(round_number, None, (1, 2, 3)))
        self.fire("prevote", round_number)
        self.hear(*self.precommits(round_number, None, (1, 2, 3)))
        self.fire("precommit", round_number)

    # --- what the engine said --------------------------------------------------------------------

    def said(self, kind: Kind, round_number: int, height: int | None = None) -> list[Statement]:
        """My distinct statements of one slot, as published."""
        mine = []
        for message in self.published:
            statement = message.statement if isinstance(message, Proposal) else message
            if not isinstance(statement, Statement) or statement in mine:
                continue
            if statement.kind is kind and statement.round == round_number and statement.height == (height or 1):
                mine.append(statement)
        return mine

    def value(self, kind: Kind, round_number: int, height: int | None = None) -> bytes | None:
        """What I voted for in a slot: a block hash, NIL, or None for not at all."""
        said = self.said(kind, round_number, height)
        assert len(said) <= 1, "two statements in one slot"
        return said[0].block_hash if said else None

    def told(self, event: str) -> list[Note]:
        """Notes of one event."""
        return [note for note in self.notes if note.event == event]
