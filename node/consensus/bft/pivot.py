"""Which block a node without any blocks may start from, under bft: the proof, checked against the genesis set alone.

Offered are two consecutive decided headers, the pivot P and its child X, each with its seal. Let G be the set of the
genesis file and S the one that votes on X, which is what the state after P holds.

    before the state is fetched   X names P as parent; the seals are for them; more than two thirds of G signed X
    after it was fetched          more than two thirds of S signed X, and P's seal has a quorum of S or of G

Of those in G that signed X at least one is honest (faulty are less than a third), and an honest validator signs
only what builds on its own head and what it has executed: so P is decided and its state is P's state, hence S is
the true set, and its quorum decided X. A set that has lost so much of G that no quorum of G signs is not accepted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from node.consensus.bft.messages import Decided
from node.consensus.bft.seals import seal_of
from node.consensus.bft.signatures import BadSignature, SignatureChecker
from node.consensus.bft.vote_keeper import certificate_has_quorum
from node.consensus.engine import Domain, InvalidSeal
from node.consensus.validator_contract import InvalidValidatorState, read_validators
from node.consensus.validators import ValidatorSet
from node.state.view import StateView
from node.types.blocks import Header

LATEST: Final = 0
"""Asks for the last decided headers."""


class BftPivot:
    """One candidate after the other; ``take`` judges what a peer offers, ``check_state`` what was fetched for it."""

    def __init__(self, domain: Domain, genesis_set: ValidatorSet) -> None:
        self._genesis_set = genesis_set
        self._signatures = SignatureChecker(domain)
        self._set = genesis_set
        self._proof: tuple[Decided, Decided] | None = None

    @property
    def header(self) -> Header | None:
        """The block to start from, as far as it is proven."""
        return None if self._proof is None else self._proof[0].block.header

    def next_request(self) -> tuple[int, int]:
        """(first, count) of the headers to ask for: the last two."""
        return LATEST, 2

    def take(self, offered: Sequence[tuple[Header, bytes]]) -> bool:
        """Judge headers and seals; True when nothing more is needed of this peer. Raises InvalidSeal."""
        self._proof = None
        if len(offered) < 2:
            return True  # its chain is too short to start from
        (pivot, seal), (child, child_seal) = offered
        if child.parent_hash != pivot.hash or child.number != pivot.number + 1:
            raise InvalidSeal("the second header does not follow the first")
        proof = self._decided(pivot, seal), self._decided(child, child_seal)
        signed = self._genesis_set.weight_of_all(proof[1].certificate.signers)
        if not self._genesis_set.is_quorum(signed):
            return True  # nobody's fault: the validators may have changed since
        self._proof = proof
        return True

    def check_state(self, view: StateView) -> None:
        """That the set which the pivot's state holds decided its child. Raises InvalidSeal."""
        assert self._proof is not None, "nothing was taken"
        pivot, child = self._proof
        try:
            self._set = read_validators(view) or self._genesis_set
        except InvalidValidatorState as error:
            raise InvalidSeal(str(error)) from error
        if not certificate_has_quorum(child.certificate, self._set):
            raise InvalidSeal("the pivot's child has no quorum of the validators that its state names")
        if not self._has_quorum(pivot):
            raise InvalidSeal("the pivot's own seal has no quorum")  # they changed right there: another will do

    def seal_for(self, header: Header, offered: bytes) -> bytes | None:
        """The seal to keep beside an older block; None where nothing shows that it is the right one."""
        try:
            decided = self._decided(header, offered)
        except InvalidSeal:
            return None
        return offered if self._has_quorum(decided) else None

    def _has_quorum(self, decided: Decided) -> bool:
        return any(certificate_has_quorum(decided.certificate, one) for one in (self._set, self._genesis_set))

    def _decided(self, header: Header, seal: bytes) -> Decided:
        """A header and its seal, signatures and commitment checked, the signers' weight not. Raises InvalidSeal."""
        decided = seal_of(header, seal)
        try:
            self._signatures.check(decided)
        except BadSignature as error:
            raise InvalidSeal(str(error)) from error
        return decided
