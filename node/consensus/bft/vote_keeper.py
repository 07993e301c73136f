"""The votes of one height: first per (validator, round, kind) counts, a different second one is evidence.

Prevotes are tallied per (block hash, valid round), precommits per block hash. Tallies are kept as votes
come in, so every question is a dictionary look-up.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from node.consensus.bft.evidence import conviction
from node.consensus.bft.messages import Certificate, Evidence, Kind, Statement
from node.consensus.validators import ValidatorSet
from node.primitives.scalars import Address, Hash32

Value = tuple[Hash32, int]
"""Block hash and valid round."""

HISTORY_MAX: Final = 64
"""Non-nil votes of one validator looked at for amnesia."""


class _Ballot:
    """Votes of one kind in one round."""

    __slots__ = ("any_weight", "by_validator", "weights")

    def __init__(self) -> None:
        self.by_validator: dict[Address, Statement] = {}
        self.weights: dict[Value, int] = {}
        self.any_weight = 0


class VoteKeeper:
    """Counts the votes of one height under one validator set."""

    def __init__(self, height: int, validators: ValidatorSet) -> None:
        self.height = height
        self.validators = validators
        self.decisions: list[tuple[int, Hash32]] = []
        """(round, block hash) of every precommit quorum, in order of completion."""
        self.votes_seen = 0
        self._ballots: dict[tuple[int, int], _Ballot] = {}
        self._round_voters: dict[int, dict[Address, None]] = {}
        self._round_weight: dict[int, int] = {}
        self._history: dict[Address, list[Statement]] = {}

    def add(self, vote: Statement) -> Evidence | None:
        """Count a vote. Returns evidence when it contradicts an earlier vote of the same validator.

        Votes of strangers, and repetitions, change nothing. An equivocating vote is not counted.
        """
        weight = self.validators.weight_of(vote.validator)
        if not weight:
            return None
        key = (vote.round, vote.kind)
        ballot = self._ballots.get(key)
        if ballot is None:
            ballot = self._ballots[key] = _Ballot()
        earlier = ballot.by_validator.get(vote.validator)
        if earlier is not None:
            return None if earlier.same_value(vote) else Evidence(earlier, vote)
        ballot.by_validator[vote.validator] = vote
        self.votes_seen += 1
        value = (vote.block_hash, vote.valid_round)
        before = ballot.weights.get(value, 0)
        ballot.weights[value] = before + weight
        ballot.any_weight += weight
        self._count_voter(vote, weight)
        if vote.kind is Kind.PRECOMMIT and not vote.is_nil:
            is_quorum = self.validators.is_quorum
            if is_quorum(before + weight) and not is_quorum(before):
                self.decisions.append((vote.round, vote.block_hash))
        return None if vote.is_nil else self._amnesia(vote)

    def _count_voter(self, vote: Statement, weight: int) -> None:
        voters = self._round_voters.setdefault(vote.round, {})
        if vote.validator not in voters:
            voters[vote.validator] = None
            self._round_weight[vote.round] = self._round_weight.get(vote.round, 0) + weight

    def _amnesia(self, vote: Statement) -> Evidence | None:
        history = self._history.setdefault(vote.validator, [])
        found: Evidence | None = None
        for earlier in history:
            if earlier.kind is not vote.kind and conviction(earlier, vote):
                found = Evidence(earlier, vote)
                break
        if len(history) < HISTORY_MAX:
            history.append(vote)
        return found

    def has_voted(self, validator: Address) -> bool:
        """Whether any vote of this validator is counted."""
        return any(validator in voters for voters in self._round_voters.values())

    def contradicts(self, vote: Statement) -> bool:
        """Whether this vote, if its signature is good, convicts its signer together with a counted one."""
        ballot = self._ballots.get((vote.round, vote.kind))
        earlier = ballot.by_validator.get(vote.validator) if ballot else None
        if earlier is not None:
            return not earlier.same_value(vote)
        return any(conviction(one, vote) for one in self._history.get(vote.validator, ()))

    def knows(self, vote: Statement) -> bool:
        """Whether exactly this sentence of this validator is already counted."""
        ballot = self._ballots.get((vote.round, vote.kind))
        earlier = ballot.by_validator.get(vote.validator) if ballot else None
        return earlier is not None and earlier.same_value(vote)

    def weight(self, kind: Kind, round_number: int, value: Value) -> int:
        """Weight behind one value."""
        ballot = self._ballots.get((round_number, kind))
        return ballot.weights.get(value, 0) if ballot else 0

    def any_weight(self, kind: Kind, round_number: int) -> int:
        """Weight of all who voted, whatever for."""
        ballot = self._ballots.get((round_number, kind))
        return ballot.any_weight if ballot else 0

    def round_to_skip_to(self, current: int) -> int | None:
        """The highest round above ``current`` in which more than any tolerated faulty weight has voted."""
        best: int | None = None
        for round_number, weight in self._round_weight.items():
            if round_number > current and self.validators.is_skip(weight) and (best is None or round_number > best):
                best = round_number
        return best

    def certificate(self, kind: Kind, round_number: int, value: Value) -> Certificate:
        """All counted votes for one value, signers ascending."""
        ballot = self._ballots[round_number, kind]
        chosen = sorted(
            (vote.validator, vote.signature)
            for vote in ballot.by_validator.values()
            if (vote.block_hash, vote.valid_round) == value
        )
        return Certificate(kind, self.height, round_number, value[0], value[1], tuple(chosen))

    def voters(self, kind: Kind, round_number: int) -> Iterable[Statement]:
        """The counted votes of one kind in one round."""
        ballot = self._ballots.get((round_number, kind))
        return ballot.by_validator.values() if ballot else ()


def certificate_has_quorum(certificate: Certificate, validators: ValidatorSet) -> bool:
    """Whether distinct members of the set with more than two thirds of the weight signed."""
    if any(address not in validators for address in certificate.signers):
        return False
    return validators.is_quorum(validators.weight_of_all(certificate.signers))
