"""The engine's state in JSON types, for RPC and for those who ask why a chain stands still."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from node.consensus.bft.evidence import conviction
from node.consensus.bft.messages import Evidence, Kind, Statement
from node.consensus.bft.round_machine import RoundMachine
from node.consensus.validators import ValidatorSet
from node.primitives.hexadecimal import to_data
from node.primitives.scalars import Address


def inspect_machine(machine: RoundMachine | None, validators: ValidatorSet) -> dict[str, object]:
    """Height, round, step, lock, valid value, and who has voted for what in this round."""
    listed = [{"address": to_data(one.address), "weight": one.weight} for one in validators.validators]
    if machine is None:
        return {"height": 0, "round": 0, "step": "not started", "voting": False, "validators": listed}
    round_number, votes = machine.round, machine.votes
    proposals = machine.candidates.proposals(round_number)
    return {
        "height": machine.height,
        "round": round_number,
        "step": machine.step.name.lower() if machine.started else "waiting",
        "voting": machine.me is not None,
        "validators": listed,
        "proposer": to_data(validators.proposer(machine.height, round_number)),
        "proposal": to_data(proposals[0].block.hash) if proposals else None,
        "lockedRound": machine.locked_round,
        "lockedBlock": to_data(machine.locked_block.hash) if machine.locked_block else None,
        "validRound": machine.valid_round,
        "validBlock": to_data(machine.valid_block.hash) if machine.valid_block else None,
        "votesSeen": votes.votes_seen,
        "prevotes": _votes(votes.voters(Kind.PREVOTE, round_number)),
        "precommits": _votes(votes.voters(Kind.PRECOMMIT, round_number)),
    }


def inspect_evidence(evidence: Mapping[tuple[Address, int], Evidence]) -> list[dict[str, object]]:
    """Who is convicted, at which height, and of what."""
    return [
        {"validator": to_data(validator), "height": height, "kind": conviction(found.first, found.second)}
        for (validator, height), found in evidence.items()
    ]


def _votes(votes: Iterable[Statement]) -> list[dict[str, object]]:
    """``block`` is None for nil."""
    return [
        {"validator": to_data(vote.validator), "block": None if vote.is_nil else to_data(vote.block_hash)}
        for vote in votes
    ]
