"""What must hold of a whole cluster, whatever befalls it: one judge for the simulator and for real processes.

The harness reports what each node says, as it says it; the judge raises at the first thing that cannot be. It keeps
what it was told, so a node that restarts with less than it once reported is found.

    agreement   two nodes never finalize different blocks at one height, nor different state roots
    memory      what a node has finalized stays finalized, across restarts too
    linkage     every block of a node's chain builds on the block below it
    order       finalized <= safe <= head
    validity    no transaction twice in one chain, none that nobody sent, each sender's in the order of their nonces
    supply      what all accounts hold is what they began with less the base fees that were burnt
    honesty     no honest node is convicted (reported by ``on_convicted``)
    progress    after the faults, every live node decides again (asked for, see ``check_progress``)
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum


class Invariant(Enum):
    """Which promise was broken."""

    AGREEMENT = "agreement"
    MEMORY = "memory"
    LINKAGE = "linkage"
    ORDER = "order"
    VALIDITY = "validity"
    SUPPLY = "supply"
    HONESTY = "honesty"
    PROGRESS = "progress"


class InvariantViolated(AssertionError):
    """The cluster did what it must never do."""

    def __init__(self, invariant: Invariant, what: str) -> None:
        super().__init__(f"{invariant.value}: {what}")
        self.invariant = invariant

    @property
    def exit_code(self) -> int:
        """128: no progress; 129: anything that is worse."""
        return 128 if self.invariant is Invariant.PROGRESS else 129


@dataclass(frozen=True, slots=True)
class BlockFacts:
    """A block as a node reports it. ``transactions`` are hashes, in block order."""

    number: int
    block_hash: bytes
    parent_hash: bytes
    state_root: bytes
    transactions: tuple[bytes, ...] = ()
    senders: tuple[tuple[bytes, int], ...] = ()
    """Sender and nonce of each transaction, where the harness knows them; else empty."""

    def __str__(self) -> str:
        return f"#{self.number} {self.block_hash.hex()[:12]} root {self.state_root.hex()[:12]}"


@dataclass(slots=True)
class _NodeFacts:
    chain: dict[int, BlockFacts] = field(default_factory=dict)
    included_at: dict[bytes, int] = field(default_factory=dict)
    next_nonce: dict[bytes, int] = field(default_factory=dict)
    head: int = 0
    safe: int = 0
    finalized: int = 0


class Judge:
    """Takes reports, raises InvariantViolated."""

    def __init__(
        self, genesis_hash: bytes, known_transactions: Container[bytes] | None = None, state_may_return: bool = False
    ) -> None:
        """``known_transactions``: a live collection of what was sent, or None where that cannot be known.

        ``state_may_return``: users of a network for development set nonces and go back to earlier states, so that a
        transaction may come twice.
        """
        self._genesis_hash = genesis_hash
        self._state_may_return = state_may_return
        self._known = known_transactions
        self._nodes: dict[str, _NodeFacts] = {}
        self._final: dict[int, tuple[BlockFacts, str]] = {}
        self.checks = 0

    # ---- reports

    def on_joined(self, node: str, block: BlockFacts) -> None:
        """A node is seen for the first time and has finalized ``block``; what lies below it is not looked at."""
        facts = self._nodes[node] = _NodeFacts(head=block.number - 1)
        if block.number:
            facts.chain[block.number] = block
            self._finalize(node, block)
        facts.head = facts.safe = facts.finalized = block.number

    def on_lost_disk(self, node: str) -> None:
        """A node's disk was taken from it: it owes nothing any more of what it said before."""
        self._nodes.pop(node, None)

    def on_convicted(self, node: str, by: str, what: str) -> None:
        """``by`` holds evidence against ``node``, which is honest."""
        raise InvariantViolated(Invariant.HONESTY, f"{by} convicts {node} of {what}, and {node} is honest")

    def forget_below(self, number: int) -> None:
        """Drop blocks below a height that every node has finalized: a network may run for weeks."""
        for facts in self._nodes.values():
            for height in [height for height in facts.chain if height < min(number, facts.finalized)]:
                for transaction in facts.chain.pop(height).transactions:
                    facts.included_at.pop(transaction, None)
        for height in [height for height in self._final if height < number]:
            del self._final[height]

    def chain_of(self, node: str) -> Mapping[int, BlockFacts] | None:
        """Blocks that a node has reported and still has, by height; None where it has never reported."""
        facts = self._nodes.get(node)
        return facts.chain if facts is not None else None

    def on_head(
        self, node: str, added: Iterable[BlockFacts], removed: Iterable[BlockFacts] = (), safe: int | None = None
    ) -> None:
        """A node's head moved: ``removed`` from the old head down, ``added`` from the fork point up."""
        facts = self._nodes.setdefault(node, _NodeFacts())
        for block in removed:
            if block.number <= facts.finalized:
                raise InvariantViolated(Invariant.MEMORY, f"{node} removed {block}, finalized {facts.finalized}")
            gone = facts.chain.pop(block.number, None)
            if gone is None or gone.block_hash != block.block_hash:
                raise InvariantViolated(Invariant.LINKAGE, f"{node} removed {block}, which it did not have")
            for transaction in gone.transactions:
                facts.included_at.pop(transaction, None)
            for sender, nonce in reversed(gone.senders):
                facts.next_nonce[sender] = nonce
            facts.head = block.number - 1
        for block in added:
            self._add(node, facts, block)
        facts.safe = min(facts.safe, facts.head) if safe is None else safe
        self._check_order(node, facts)

    def _add(self, node: str, facts: _NodeFacts, block: BlockFacts) -> None:
        self.checks += 1
        if block.number != facts.head + 1:
            raise InvariantViolated(Invariant.LINKAGE, f"{node} put {block} on height {facts.head}")
        below = facts.chain[facts.head].block_hash if facts.head else self._genesis_hash
        if block.parent_hash != below:
            raise InvariantViolated(
                Invariant.LINKAGE, f"{node} put {block}, child of {block.parent_hash.hex()[:12]}, on {below.hex()[:12]}"
            )
        for transaction in block.transactions:
            if transaction in facts.included_at and not self._state_may_return:
                raise InvariantViolated(
                    Invariant.VALIDITY,
                    f"{node} has {transaction.hex()[:12]} at {facts.included_at[transaction]} and again in {block}",
                )
            if self._known is not None and transaction not in self._known:
                raise InvariantViolated(
                    Invariant.VALIDITY,
                    f"{node} has transaction {transaction.hex()[:12]} in {block}, and nobody sent it",
                )
            facts.included_at[transaction] = block.number
        for sender, nonce in block.senders:
            # above what is expected is fine: a delegation may have used nonces (EIP-7702)
            if nonce < facts.next_nonce.get(sender, 0) and not self._state_may_return:
                raise InvariantViolated(
                    Invariant.VALIDITY,
                    f"{node} has nonce {nonce} of 0x{sender.hex()} in {block}, after {facts.next_nonce[sender] - 1}",
                )
            facts.next_nonce[sender] = nonce + 1
        facts.chain[block.number] = block
        facts.head = block.number

    def on_finalized(self, node: str, number: int, block_hash: bytes) -> None:
        """A node's finalized mark moved. Its blocks up to there were reported before."""
        facts = self._nodes.setdefault(node, _NodeFacts())
        if number < facts.finalized:
            raise InvariantViolated(
                Invariant.MEMORY, f"{node} finalized {number} after it had finalized {facts.finalized}"
            )
        if number:
            block = facts.chain.get(number)
            if block is None or block.block_hash != block_hash:
                raise InvariantViolated(
                    Invariant.ORDER, f"{node} finalized {number} {block_hash.hex()[:12]}, its chain has {block}"
                )
        for height in range(facts.finalized + 1, number + 1):
            self._finalize(node, facts.chain[height])
        facts.finalized = number
        facts.safe = max(facts.safe, number)
        self._check_order(node, facts)

    def _finalize(self, node: str, block: BlockFacts) -> None:
        self.checks += 1
        first = self._final.setdefault(block.number, (block, node))
        if first[0].block_hash != block.block_hash or first[0].state_root != block.state_root:
            raise InvariantViolated(
                Invariant.AGREEMENT, f"at height {block.number} {first[1]} finalized {first[0]} and {node} {block}"
            )

    def on_restart(self, node: str, chain: Iterable[BlockFacts], finalized: int) -> None:
        """A node is back and reports its whole canonical chain from block 1 up. It may lack what was not final."""
        before = self._nodes.pop(node, _NodeFacts())
        reported = list(chain)
        if finalized < before.finalized:
            raise InvariantViolated(
                Invariant.MEMORY, f"{node} came back with {finalized} finalized, and had finalized {before.finalized}"
            )
        for block in reported[: before.finalized]:
            had = before.chain[block.number]
            if had != block:
                raise InvariantViolated(Invariant.MEMORY, f"{node} came back with {block}, and had finalized {had}")
        self.on_head(node, reported)
        if finalized:
            self.on_finalized(node, finalized, self._nodes[node].chain[finalized].block_hash)

    def _check_order(self, node: str, facts: _NodeFacts) -> None:
        if not facts.finalized <= facts.safe <= facts.head:
            raise InvariantViolated(
                Invariant.ORDER, f"{node}: finalized {facts.finalized}, safe {facts.safe}, head {facts.head}"
            )

    # ---- questions

    def heights(self) -> dict[str, int]:
        """Head of every node that has reported."""
        return {name: facts.head for name, facts in self._nodes.items()}

    def finalized(self) -> dict[str, int]:
        """Finalized height of every node that has reported."""
        return {name: facts.finalized for name, facts in self._nodes.items()}

    def block_at(self, number: int) -> BlockFacts | None:
        """What the cluster has finalized at a height."""
        entry = self._final.get(number)
        return entry[0] if entry else None

    def inclusion_of(self, transaction: bytes) -> int | None:
        """The height at which some node has a transaction, the lowest."""
        found = [facts.included_at[transaction] for facts in self._nodes.values() if transaction in facts.included_at]
        return min(found, default=None)

    def check_progress(self, before: Mapping[str, int], nodes: Iterable[str], blocks: int, within_ms: int) -> None:
        """Every node finalized ``blocks`` more than ``before``; called ``within_ms`` after the last fault."""
        behind = [
            f"{node} {before.get(node, 0)} -> {self._nodes[node].finalized if node in self._nodes else 0}"
            for node in nodes
            if node not in self._nodes or self._nodes[node].finalized < before.get(node, 0) + blocks
        ]
        if behind:
            raise InvariantViolated(
                Invariant.PROGRESS, f"{within_ms} ms after the last fault, {blocks} more expected: {', '.join(behind)}"
            )
