"""Who really signed: the check between the wire and the engine.

Certificates repeat votes that came alone before, so digests with good signatures are remembered (bounded).
"""

from __future__ import annotations

from typing import Final

from node.consensus.bft.evidence import check_evidence
from node.consensus.bft.messages import Certificate, Claim, Decided, Evidence, Message, Polka, Proposal, Statement
from node.consensus.bft.standing import Standing
from node.consensus.engine import Domain
from node.crypto import secp256k1

REMEMBERED_MAX: Final = 8192


class BadSignature(ValueError):
    """A statement was not signed by the validator it names."""


class SignatureChecker:
    """Checks every signature a message rests on."""

    def __init__(self, domain: Domain) -> None:
        self._domain = domain
        self._good: dict[bytes, None] = {}

    def check(self, message: Message | Claim) -> None:
        """Of a message or a claim. Raises BadSignature, or MalformedMessage for evidence that convicts nobody."""
        if isinstance(message, Statement):
            self._check_statement(message)
        elif isinstance(message, Proposal):
            self._check_statement(message.statement)
            if message.polka is not None:
                self.check_certificate(message.polka)
            self._check_body(message.evidence)
        elif isinstance(message, Polka | Decided):
            self.check_certificate(message.certificate)
            self._check_body(message.evidence)
        elif isinstance(message, Certificate):
            self.check_certificate(message)
        elif isinstance(message, Standing):
            self._check_statement(message)
        elif isinstance(message, Evidence):
            check_evidence(message)
            self._check_statement(message.first)
            self._check_statement(message.second)

    def _check_body(self, evidence: tuple[Evidence, ...]) -> None:
        for one in evidence:
            self.check(one)

    def check_certificate(self, certificate: Certificate) -> None:
        """All signatures of a certificate. Raises BadSignature."""
        for statement in certificate.statements():
            self._check_statement(statement)

    def _check_statement(self, statement: Statement | Standing) -> None:
        digest = statement.signing_digest(self._domain)
        signature = statement.signature
        remembered = digest + signature + statement.validator
        if remembered in self._good:
            return
        if len(signature) != 65:
            raise BadSignature("a signature has 65 bytes")
        r, s, y_parity = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big"), signature[64]
        if s > secp256k1.HALF_ORDER:
            # one statement has one signature: malleated copies would pass every seen-cache
            raise BadSignature("signature with high s")
        try:
            signer = secp256k1.recover_address(digest, y_parity, r, s)
        except secp256k1.SignatureError as error:
            raise BadSignature(str(error)) from error
        if signer != statement.validator:
            raise BadSignature("signed by somebody else")
        if len(self._good) >= REMEMBERED_MAX:
            del self._good[next(iter(self._good))]
        self._good[remembered] = None
