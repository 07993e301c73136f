"""Convictions that this node knows of and that no block holds yet: bounded, one a validator and height."""

from __future__ import annotations

from typing import Final

from node.consensus.bft.body import EVIDENCE_AGE_MAX
from node.consensus.bft.evidence import conviction
from node.consensus.bft.messages import Evidence
from node.consensus.validators import ValidatorSet
from node.primitives.scalars import Address

EVIDENCE_MAX: Final = 256
PER_VALIDATOR_MAX: Final = 4
"""So that one liar cannot crowd out the evidence against the others."""


class EvidencePool:
    """What proposers pick from, oldest first."""

    def __init__(self) -> None:
        self.known: dict[tuple[Address, int], Evidence] = {}
        """By (validator, height); kept after inclusion for who asks, until it is too old."""

    def wants(self, evidence: Evidence) -> bool:
        """Whether it convicts somebody and is news. Signatures are checked elsewhere."""
        validator, height = evidence.first.validator, evidence.first.height
        if (validator, height) in self.known or len(self.known) >= EVIDENCE_MAX:
            return False
        against = sum(1 for known, _ in self.known if known == validator)
        return against < PER_VALIDATOR_MAX and bool(conviction(evidence.first, evidence.second))

    def add(self, evidence: Evidence) -> bool:
        """Keep it if it is wanted; returns whether it was."""
        wanted = self.wants(evidence)
        if wanted:
            self.known[evidence.first.validator, evidence.first.height] = evidence
        return wanted

    def forget_below(self, height: int) -> None:
        """Drop what no block of ``height`` may carry any more."""
        if any(old < height - EVIDENCE_AGE_MAX for _, old in self.known):
            self.known = {key: one for key, one in self.known.items() if key[1] >= height - EVIDENCE_AGE_MAX}

    def pending(self, validators: ValidatorSet) -> list[Evidence]:
        """What still convicts a member of the set."""
        return [one for (validator, _), one in self.known.items() if validator in validators]
