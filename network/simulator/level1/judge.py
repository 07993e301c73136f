"""What must hold, judged outside the nodes from what they decided and what they signed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from node.consensus.bft.evidence import conviction
from node.consensus.bft.messages import Kind, Statement
from node.consensus.validators import ValidatorSet
from node.primitives.scalars import Address, Hash32
from node.types.blocks import Block


@dataclass(frozen=True, slots=True)
class Violation:
    """Something that must never happen has happened."""

    kind: str
    detail: str


class Verdict(ABC):
    """``violation`` is the first broken invariant."""

    def __init__(self, validators: ValidatorSet, honest: frozenset[Address]) -> None:
        self.validators = validators
        self.honest = honest
        self.violation: Violation | None = None

    def report(self, kind: str, detail: str) -> None:
        """Keep the first violation."""
        if self.violation is None:
            self.violation = Violation(kind, detail)

    @abstractmethod
    def convicted(self) -> dict[Address, str]:
        """Everybody whom two of his statements convict, and of what."""

    @abstractmethod
    def convicted_independently(self) -> dict[Address, str]:
        """The same question by another definition."""

    def judge_transcript(self) -> None:
        """Nobody honest is convicted; after a fork, the convicted hold at least a third of the weight."""
        convicted = self.convicted()
        for validator in (*convicted, *self.convicted_independently()):
            if validator in self.honest:
                self.report("self-incrimination", f"honest 0x{validator.hex()} signed evidence against itself")
        if self.violation is not None and self.violation.kind == "agreement":
            guilty = self.validators.weight_of_all(convicted)
            told = f"{self.violation.detail}; convicted: {guilty} of {self.validators.total_weight} of the weight"
            kind = "agreement" if self.is_accounted_for(guilty) else "unaccountable fork"
            self.violation = Violation(kind, told)

    def is_accounted_for(self, guilty: int) -> bool:
        """Whether so much convicted weight explains a fork."""
        return 3 * guilty > self.validators.total_weight


class Judge(Verdict):
    """bft: collects decisions and statements."""

    def __init__(self, genesis: Block, validators: ValidatorSet, honest: frozenset[Address]) -> None:
        super().__init__(validators, honest)
        self.decided: dict[int, Block] = {0: genesis}
        self._said: dict[tuple[Address, int], dict[tuple[object, ...], Statement]] = {}

    def set_at(self, height: int) -> ValidatorSet:
        """Who votes at a height."""
        return self.validators

    def on_said(self, statement: Statement) -> None:
        """A statement has left its signer."""
        said = self._said.setdefault((statement.validator, statement.height), {})
        said[statement.kind, statement.round, statement.block_hash, statement.valid_round] = statement

    def on_decided(self, who: str, block: Block, valid: bool) -> None:
        """An honest node has decided: agreement, linkage, validity."""
        earlier = self.decided.get(block.number)
        if earlier is not None:
            if earlier.hash != block.hash:
                self.report("agreement", f"{who} decided another block at height {block.number}")
            return
        self.decided[block.number] = block
        parent = self.decided.get(block.number - 1)
        if parent is not None and block.header.parent_hash != parent.hash:
            self.report("linkage", f"{who} decided block {block.number} on another parent")
        if not valid:
            self.report("validity", f"{who} decided a block with a wrong root at height {block.number}")

    def convicted(self) -> dict[Address, str]:
        """Everybody whom two of his statements convict, by the rules of bft/evidence.py."""
        found: dict[Address, str] = {}
        for (validator, _), said in self._said.items():
            statements = list(said.values())
            for index, first in enumerate(statements):
                for second in statements[index + 1 :]:
                    kind = conviction(first, second)
                    if kind and validator not in found:
                        found[validator] = kind
        return found

    def convicted_independently(self) -> dict[Address, str]:
        """The same question by another definition, which knows nothing of valid rounds.

        A validator is guilty of two values in one slot, or of a prevote for b' in r2 after a precommit
        for b in r1 < r2 without any polka for b' in r1 <= r < r2 (after the Ivy model of Tendermint).
        """
        polkas: dict[tuple[int, Hash32], dict[int, int]] = {}
        for (validator, height), said in self._said.items():
            counted: dict[tuple[int, Hash32], None] = {}
            for statement in said.values():
                key = (statement.round, statement.block_hash)
                if statement.kind is Kind.PREVOTE and not statement.is_nil and key not in counted:
                    counted[key] = None
                    weights = polkas.setdefault((height, statement.block_hash), {})
                    weights[statement.round] = weights.get(statement.round, 0) + self.set_at(height).weight_of(
                        validator
                    )
        found: dict[Address, str] = {}
        for (validator, height), said in self._said.items():
            slots: dict[tuple[int, int], Hash32] = {}
            locks = [s for s in said.values() if s.kind is Kind.PRECOMMIT and not s.is_nil]
            for statement in said.values():
                if slots.setdefault((statement.kind, statement.round), statement.block_hash) != statement.block_hash:
                    found.setdefault(validator, "double")
                if statement.kind is not Kind.PREVOTE or statement.is_nil:
                    continue
                weights = polkas[height, statement.block_hash]
                for lock in locks:
                    if lock.block_hash == statement.block_hash or lock.round >= statement.round:
                        continue
                    unlocked = any(
                        self.set_at(height).is_quorum(weight)
                        for round_number, weight in weights.items()
                        if lock.round <= round_number < statement.round
                    )
                    if not unlocked:
                        found.setdefault(validator, "unlawful prevote")
        return found
