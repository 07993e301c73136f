"""Votes and headers heard lately, and the evidence found among them. Bounded.

Each validator has one vote per target epoch here, the first that came; a different second one convicts it, and
so do two blocks of one slot and a vote that surrounds another.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from node.consensus.engine import MalformedMessage
from node.consensus.pos.messages import Attestation, SignedHeader, Slashing, conviction, decode
from node.primitives.scalars import Address

EPOCHS_KEPT: Final = 64
"""How far back surround votes are found."""
HEADERS_MAX: Final = 4096


class StatementPool:
    """What validators said."""

    def __init__(self) -> None:
        self.evidence: dict[Address, Slashing] = {}
        """One conviction a validator: the first found."""
        self._votes: dict[int, dict[Address, Attestation]] = {}
        self._headers: dict[tuple[int, Address], SignedHeader] = {}

    def votes(self, epoch: int) -> dict[Address, Attestation]:
        """The votes for a target epoch, by validator."""
        return self._votes.get(epoch, {})

    def knows(self, attestation: Attestation) -> bool:
        """Whether this very vote is here."""
        held = self.votes(attestation.target.epoch).get(attestation.validator)
        return held is not None and held.data == attestation.data

    def add_vote(self, attestation: Attestation) -> Slashing | None:
        """Keep a vote; what it convicts its signer of, together with an earlier one."""
        validator, source, target = attestation.validator, attestation.source.epoch, attestation.target.epoch
        if validator not in self.evidence:
            for epoch, votes in self._votes.items():
                held = votes.get(validator)
                # one link surrounds another where sources and targets differ in opposite directions
                if held is not None and (epoch == target or (epoch - target) * (held.source.epoch - source) < 0):
                    found = self._convict(Slashing(held, attestation))
                    if found is not None:
                        return found
        self._votes.setdefault(target, {}).setdefault(validator, attestation)
        return None

    def add_header(self, header: SignedHeader) -> Slashing | None:
        """Keep a proposer's signature; what it convicts of, together with an earlier one."""
        held = self._headers.setdefault((header.at_slot, header.proposer), header)
        if len(self._headers) > HEADERS_MAX:
            del self._headers[next(iter(self._headers))]
        return None if header.proposer in self.evidence else self._convict(Slashing(held, header))

    def add_evidence(self, slashing: Slashing) -> bool:
        """Keep evidence that somebody else found. False when its validator is convicted already."""
        return slashing.validator not in self.evidence and self._convict(slashing) is not None

    def restored(self, stored: Iterable[bytes]) -> list[Slashing]:
        """Evidence from the disk that is news; what does not decode is left out."""
        found = []
        for data in stored:
            try:
                slashing = decode(data)
            except MalformedMessage:
                continue
            if isinstance(slashing, Slashing) and self.add_evidence(slashing):
                found.append(slashing)
        return found

    def _convict(self, slashing: Slashing) -> Slashing | None:
        if not conviction(slashing):
            return None
        self.evidence[slashing.validator] = slashing
        return slashing

    def forget_before(self, epoch: int) -> None:
        """Votes long past."""
        for old in [one for one in self._votes if one < epoch - EPOCHS_KEPT]:
            del self._votes[old]
