"""Which two statements convict a validator. All three pairs are impossible for an honest one.

- E1 equivocation: two prevotes, or two precommits, of one (height, round) with different values.
- E1p: two proposals of one (height, round) with different values.
- E2 amnesia: a precommit for b in r1 and a prevote for b' != b in r2 > r1 whose valid round vr is below r1.
  Rule R1 demands vr >= locked round >= r1, so an honest validator never signs it.
"""

from __future__ import annotations

from node.consensus.bft.messages import Evidence, Kind, Statement
from node.consensus.engine import MalformedMessage

E1 = "E1"
E1P = "E1p"
E2 = "E2"


def conviction(first: Statement, second: Statement) -> str:
    """ "E1", "E1p" or "E2" when the pair convicts its signer, else "". Signatures are checked elsewhere."""
    if first.validator != second.validator or first.height != second.height:
        return ""
    if first.kind is second.kind and first.round == second.round:
        if first.same_value(second):
            return ""
        return E1P if first.kind is Kind.PROPOSAL else E1
    if first.kind is Kind.PREVOTE and second.kind is Kind.PRECOMMIT:
        first, second = second, first
    if first.kind is not Kind.PRECOMMIT or second.kind is not Kind.PREVOTE or first.is_nil or second.is_nil:
        return ""
    forgot = second.valid_round < first.round < second.round
    return E2 if forgot and first.block_hash != second.block_hash else ""


def check_evidence(evidence: Evidence) -> str:
    """The kind of conviction. Raises MalformedMessage when the pair convicts nobody."""
    kind = conviction(evidence.first, evidence.second)
    if not kind:
        raise MalformedMessage("evidence: the two statements do not contradict each other")
    return kind
