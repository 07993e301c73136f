"""Real keys: who signed is who is named, and bad copies never replace good ones."""

import pytest

from node.consensus.bft.messages import NONE, Certificate, ChainDomain, Decided, Evidence, Kind, Statement
from node.consensus.bft.signatures import REMEMBERED_MAX, BadSignature, SignatureChecker
from node.consensus.engine import MalformedMessage
from node.consensus.signer import Secp256k1Key
from node.crypto.secp256k1 import ORDER
from node.primitives.scalars import Hash32
from tests.bft_bench import Bench

DOMAIN = ChainDomain(1, Hash32(b"\x07" * 32))
KEYS = [Secp256k1Key(bytes((index,)) * 32) for index in range(1, 5)]
A, B = Hash32(b"\xaa" * 32), Hash32(b"\xbb" * 32)


def _vote(value: Hash32 = A, key: Secp256k1Key = KEYS[0], domain: ChainDomain = DOMAIN) -> Statement:
    draft = Statement(Kind.PRECOMMIT, 1, 0, value, NONE, key.address)
    return draft.signed(key.sign(draft.signing_digest(domain)))


def test_a_good_vote_passes_twice():
    checker = SignatureChecker(DOMAIN)
    checker.check(_vote())
    checker.check(_vote())


def test_bad_signatures_are_refused_before_and_after_a_good_one():
    checker = SignatureChecker(DOMAIN)
    good = _vote()
    raw = good.signature
    high_s = ORDER - int.from_bytes(raw[32:64], "big")
    bad = [
        good.signed(bytes(65)),
        good.signed(raw[:64] + b"\x02"),
        good.signed(raw[:10] + bytes((raw[10] ^ 1,)) + raw[11:]),
        good.signed(raw[:32] + high_s.to_bytes(32, "big") + bytes((raw[64] ^ 1,))),
        good.signed(raw[:64]),
        _vote(domain=ChainDomain(2, DOMAIN.genesis_hash)),
        Statement(Kind.PRECOMMIT, 1, 0, A, NONE, KEYS[1].address, raw),
        Statement(Kind.PRECOMMIT, 1, 0, B, NONE, KEYS[0].address, raw),
    ]
    for _ in range(2):
        for vote in bad:
            with pytest.raises(BadSignature):
                checker.check(vote)
        checker.check(good)


def test_every_signature_of_a_certificate_counts():
    block = Bench().block(b"b")
    votes = sorted((_vote(block.hash, key) for key in KEYS[:3]), key=lambda vote: vote.validator)
    pairs = tuple((vote.validator, vote.signature) for vote in votes)
    certificate = Certificate(Kind.PRECOMMIT, 1, 0, block.hash, NONE, pairs)
    SignatureChecker(DOMAIN).check(Decided(block, certificate))
    for index in range(3):
        broken = tuple((who, bytes(65) if at == index else raw) for at, (who, raw) in enumerate(pairs))
        with pytest.raises(BadSignature):
            SignatureChecker(DOMAIN).check(Decided(block, Certificate(Kind.PRECOMMIT, 1, 0, block.hash, NONE, broken)))


def test_evidence_must_contradict_and_be_signed():
    checker = SignatureChecker(DOMAIN)
    checker.check(Evidence(_vote(A), _vote(B)))
    with pytest.raises(MalformedMessage):
        checker.check(Evidence(_vote(A), _vote(A)))
    with pytest.raises(BadSignature):
        checker.check(Evidence(_vote(A), _vote(B).signed(bytes(65))))


def test_memory_of_good_signatures_is_bounded():
    checker = SignatureChecker(DOMAIN)
    checker._good = dict.fromkeys((str(i).encode() for i in range(REMEMBERED_MAX)), None)
    checker.check(_vote())
    assert len(checker._good) == REMEMBERED_MAX
