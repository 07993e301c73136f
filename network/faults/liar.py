"""A validator that lies: an engine around the honest one, which changes what leaves it.

    inputs ──▶ honest engine ──▶ effects ──▶ Liar ──▶ driver

It knows no engine by name: a draft that carries a block is a proposal, every other draft is a vote. What the liar says
besides what the honest engine signs, it signs with the key itself, past the guard that keeps honest nodes from
contradicting themselves. The kinds are those of ``kinds.py``; amnesia and twins are done to processes, not here.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

from node.consensus.bft.messages import NIL, Kind, Proposal, Statement
from node.consensus.engine import (
    ConsensusMessage,
    Domain,
    Draft,
    Effect,
    Engine,
    Input,
    MessageReceived,
    PeerDown,
    PeerUp,
    Publish,
    SendTo,
    SignAndPublish,
    Triage,
)
from node.consensus.pos.checkpoints import Checkpoint
from node.consensus.pos.messages import Attestation, SignedBlock
from node.consensus.signer import ValidatorKey
from node.crypto.hashes import keccak256
from node.execution.block import transactions_root
from node.primitives.scalars import GWEI, Address, Hash32
from node.types.blocks import Block
from node.types.transactions import FEE_MARKET, Transaction

OLD_MESSAGES_MAX: Final = 512
REPLAYED: Final = 4
"""Old messages that are sent again with each new one."""
EXTRA_BYTES_MAX: Final = 32

Signed = Proposal | SignedBlock | Statement | Attestation


class Liar:
    """Stands in for ``inner``. ``lie``: a Byzantine kind; ``share`` of the occasions is used, and may be changed."""

    def __init__(
        self,
        inner: Engine,
        keys: Iterable[ValidatorKey],
        domain: Domain,
        lie: str,
        share: float = 1.0,
        chance: random.Random | None = None,
    ) -> None:
        """Raises ValueError for a kind that is no lie of an engine."""
        if lie not in LIES:
            raise ValueError(f"{lie!r} is none of {', '.join(LIES)}")
        self._inner = inner
        self._keys = {key.address: key for key in keys}
        self._domain = domain
        self._lie = LIES[lie]
        self.share = share
        self._chance = chance or random.Random()
        self._peers: dict[bytes, None] = {}
        self._old: deque[ConsensusMessage] = deque(maxlen=OLD_MESSAGES_MAX)
        self._votes: deque[Attestation] = deque(maxlen=64)

    # ---- what the driver sees

    @property
    def name(self) -> str:
        """The honest engine's."""
        return self._inner.name

    @property
    def height(self) -> int:
        """The honest engine's."""
        return self._inner.height

    def triage(self, message: ConsensusMessage) -> Triage:
        """The honest engine's opinion."""
        return self._inner.triage(message)

    def inspect(self) -> dict[str, object]:
        """The honest engine's state: a liar does not say that it lies."""
        return self._inner.inspect()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def handle(self, event: Input) -> list[Effect]:
        """What the honest engine does, turned into lies."""
        match event:
            case PeerUp():
                self._peers[event.peer] = None
            case PeerDown():
                self._peers.pop(event.peer, None)
            case MessageReceived():
                self._old.append(event.message)
        effects: list[Effect] = []
        for effect in self._inner.handle(event):
            effects += self._told(effect)
        return effects

    def _told(self, effect: Effect) -> list[Effect]:
        if not isinstance(effect, SignAndPublish) or self._chance.random() >= self.share:
            return [effect]
        return self._lie(self, effect)

    # ---- the lies

    def _equivocate(self, effect: SignAndPublish) -> list[Effect]:
        """A second block for the same turn, as good as the first, shown to half of the peers before it."""
        draft = effect.draft
        if not isinstance(draft, Proposal | SignedBlock):
            return [effect]
        header = draft.block.header
        other = _with_header(draft.block, extra_data=(b"or " + header.extra_data)[:EXTRA_BYTES_MAX])
        return [*self._whisper(self._with_block(draft, other)), effect]

    def _double_vote(self, effect: SignAndPublish) -> list[Effect]:
        """A second, different vote, shown to half of the peers before the first."""
        draft = effect.draft
        if isinstance(draft, Statement):
            invented = Hash32(keccak256(b"another block" + draft.block_hash)) if draft.is_nil else NIL
            other: Draft = replace(draft, block_hash=invented, valid_round=-1)
        elif isinstance(draft, Attestation):
            head = draft.target.root if draft.head != draft.target.root else draft.source.root
            other = replace(draft, head=Hash32(head))
        else:
            return [effect]
        return [*self._whisper(other), effect]

    def _surround(self, effect: SignAndPublish) -> list[Effect]:
        """pos: a vote whose source is older than an earlier vote's, and whose target is newer."""
        draft = effect.draft
        if not isinstance(draft, Attestation):
            return [effect]
        inner = next((vote for vote in self._votes if vote.target.epoch < draft.target.epoch), None)
        self._votes.append(draft)
        if inner is None or inner.source.epoch == 0:
            return [effect]
        wide = replace(draft, source=Checkpoint(inner.source.epoch - 1, inner.source.root))
        return [*self._whisper(wide), effect]

    def _wrong_root(self, effect: SignAndPublish) -> list[Effect]:
        draft = effect.draft
        if not isinstance(draft, Proposal | SignedBlock):
            return [effect]
        root = Hash32(keccak256(b"wrong" + draft.block.header.state_root))
        return [replace(effect, draft=self._with_block(draft, _with_header(draft.block, state_root=root)))]

    def _invalid_transaction(self, effect: SignAndPublish) -> list[Effect]:
        """A transaction whose sender has nothing to pay with."""
        draft = effect.draft
        if not isinstance(draft, Proposal | SignedBlock):
            return [effect]
        block = replace(draft.block, transactions=(*draft.block.transactions, self._unpayable()))
        block = _with_header(block, transactions_root=transactions_root(block))
        return [replace(effect, draft=self._with_block(draft, block))]

    def _unpayable(self) -> Transaction:
        unsigned = Transaction(
            type=FEE_MARKET,
            nonce=0,
            gas_limit=21_000,
            to=Address(bytes(20)),
            value=1,
            data=b"",
            max_fee_per_gas=100 * GWEI,
            max_priority_fee_per_gas=GWEI,
            chain_id=self._domain.chain_id,
        )
        return unsigned.signed_by(keccak256(self._chance.randbytes(32)))

    def _withhold(self, effect: SignAndPublish) -> list[Effect]:
        return [] if isinstance(effect.draft, Proposal | SignedBlock) else [effect]

    def _be_silent(self, effect: SignAndPublish) -> list[Effect]:
        return [effect] if isinstance(effect.draft, Proposal | SignedBlock) else []

    def _replay(self, effect: SignAndPublish) -> list[Effect]:
        """Old messages again, with every new one."""
        known = list(self._old)
        again = self._chance.sample(known, min(REPLAYED, len(known)))
        return [effect, *(SendTo(None, message) for message in again), *(Publish(message) for message in again[:1])]

    # ---- how they are said

    def _with_block(self, draft: Proposal | SignedBlock, block: Block) -> Proposal | SignedBlock:
        """The same proposal with another block, unsigned."""
        if isinstance(draft, SignedBlock):
            return replace(draft, block=block, signature=b"")
        statement = draft.statement
        return Proposal(
            Statement(Kind.PROPOSAL, statement.height, statement.round, block.hash, -1, statement.validator), block
        )

    def _whisper(self, draft: Draft) -> list[Effect]:
        """Sign a draft past the guard, and send it to the first half of the peers."""
        assert isinstance(draft, Signed)
        key = self._keys.get(draft.validator)
        if key is None:
            return []
        message = draft.signed(key.sign(draft.signing_digest(self._domain)))
        listening = sorted(self._peers)
        return [SendTo(peer, message) for peer in listening[: (len(listening) + 1) // 2]]


def _with_header(block: Block, **fields: object) -> Block:
    """The block with other header fields; the copy must not keep the hash that the header remembers."""
    return replace(block, header=replace(block.header, **fields))  # type: ignore[arg-type]


LIES: Final[Mapping[str, Callable[[Liar, SignAndPublish], list[Effect]]]] = {
    "equivocating-proposer": Liar._equivocate,
    "double-vote": Liar._double_vote,
    "surround-vote": Liar._surround,
    "wrong-state-root": Liar._wrong_root,
    "invalid-transaction": Liar._invalid_transaction,
    "withheld-block": Liar._withhold,
    "silent-voter": Liar._be_silent,
    "stale-replay": Liar._replay,
}
