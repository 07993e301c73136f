"""Which messages are worth verifying: cheap questions, asked before any signature is looked at.

Only the set of the current height is known for certain. Where the state holds the set, messages of other heights
are judged by it as a hint: they may be unwanted, but nobody is blamed for them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from node.consensus.bft.body import EVIDENCE_AGE_MAX
from node.consensus.bft.evidence_pool import EvidencePool
from node.consensus.bft.messages import Certificate, Decided, Evidence, Kind, Polka, Proposal, Statement, Status
from node.consensus.bft.round_machine import RoundMachine
from node.consensus.bft.standing import Inquiry, Listener, Standing
from node.consensus.bft.vote_keeper import VoteKeeper, certificate_has_quorum
from node.consensus.engine import WANTED, ConsensusMessage, Triage

ROUNDS_AHEAD_MAX: Final = 50
HEIGHTS_AHEAD_MAX: Final = 2
DECIDED_AHEAD_MAX: Final = 16
"""Decided blocks answered to one STATUS, and kept while the one before them executes."""

_DECIDED_ALREADY: Final = Triage(False, "height already decided")
_TOO_FAR_AHEAD: Final = Triage(False, "height too far ahead")
_NOT_ASKED: Final = Triage(False, "nobody here asked")
_HELD: Final = Triage(False, "already held")
_COUNTED: Final = Triage(False, "vote already counted")


def triage_message(
    message: ConsensusMessage,
    machine: RoundMachine,
    pool: EvidencePool,
    past: Mapping[int, VoteKeeper],
    listener: Listener | None = None,
) -> Triage:
    """An opinion about a message or what it claims. ``past``: the votes of the last decided heights."""
    # the commonest first: every message of every peer comes by here
    if isinstance(message, Statement):
        return _statement(message, machine, past.get(message.height))
    if isinstance(message, Status):
        return WANTED
    if isinstance(message, Proposal):
        return _statement(message.statement, machine)
    if isinstance(message, Certificate):
        return _certificate(message, machine)
    if isinstance(message, Decided | Polka):
        return _certificate(message.certificate, machine)
    if isinstance(message, Evidence):
        return _evidence(message, machine, pool)
    if isinstance(message, Standing):
        return _NOT_ASKED if listener is None else listener.triage(message, machine.validators)
    return WANTED if isinstance(message, Inquiry) else Triage(False, "unknown message", hostile=True)


def _statement(statement: Statement, machine: RoundMachine, past: VoteKeeper | None = None) -> Triage:
    is_proposal = statement.kind is Kind.PROPOSAL
    ahead = statement.height - machine.height
    certain = _is_certain(ahead, machine)
    if statement.validator not in machine.validators:
        return Triage(False, "signer is no validator", hostile=certain)
    if is_proposal and statement.validator != machine.validators.proposer(statement.height, statement.round):
        return Triage(False, "not the proposer's turn", hostile=certain)
    if ahead < 0:
        # too late to count, but not to convict: twins are often heard on one side only until it is over
        contradicts = past is not None and not is_proposal and past.contradicts(statement)
        return WANTED if contradicts else _DECIDED_ALREADY
    if ahead > HEIGHTS_AHEAD_MAX:
        return _TOO_FAR_AHEAD
    current = machine.round if ahead == 0 else 0
    if statement.round > current + ROUNDS_AHEAD_MAX:
        return Triage(False, "round too far ahead")
    if ahead == 0 and machine.knows(statement):
        return _HELD if is_proposal else _COUNTED
    return WANTED


def _is_certain(ahead: int, machine: RoundMachine) -> bool:
    """Whether every honest bearer knows the set by which a message of this height is judged.

    One that is a block behind passes on what the set before allows; it must not be blamed for a change.
    """
    return not machine.candidates.sets_change or (ahead == 0 and not machine.set_is_new)


def _certificate(certificate: Certificate, machine: RoundMachine) -> Triage:
    decides = certificate.kind is Kind.PRECOMMIT
    ahead = certificate.height - machine.height
    if ahead < 0:
        return _DECIDED_ALREADY
    if ahead > (DECIDED_AHEAD_MAX if decides else 0):
        return _TOO_FAR_AHEAD
    if not decides and certificate.round <= machine.valid_round:
        return Triage(False, "polka is not news")
    if not certificate_has_quorum(certificate, machine.validators):
        return Triage(False, "certificate without a quorum", hostile=_is_certain(ahead, machine))
    return WANTED


def _evidence(evidence: Evidence, machine: RoundMachine, pool: EvidencePool) -> Triage:
    age = machine.height - evidence.first.height
    if evidence.first.validator not in machine.validators:
        return Triage(False, "evidence against a stranger", hostile=not machine.candidates.sets_change)
    if not 0 <= age <= EVIDENCE_AGE_MAX:
        return Triage(False, "evidence of a height too far away")
    if (evidence.first.validator, evidence.first.height) in pool.known:
        return Triage(False, "evidence already known")
    return WANTED if pool.wants(evidence) else Triage(False, "evidence that convicts nobody, or one too many")
