"""Wire bytes of every message: exact, strict, total."""

import contextlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.consensus.bft.claims import decode_claim
from node.consensus.bft.messages import (
    MESSAGE_BYTES_MAX,
    NIL,
    NONE,
    ChainDomain,
    Evidence,
    Kind,
    Proposal,
    Statement,
    Status,
    decode,
)
from node.consensus.bft.seals import decode_certificate
from node.consensus.bft.standing import Inquiry, Standing
from node.consensus.engine import MalformedMessage
from node.crypto.hashes import keccak256
from node.primitives import rlp
from node.primitives.scalars import Address, Hash32
from tests.bft_bench import Bench

BENCH = Bench()
BLOCK = BENCH.block(b"b")


def _messages() -> dict[str, object]:
    bench = BENCH
    return {
        "nil": bench.prevotes(0, None, (1,))[0],
        "prevote": bench.prevotes(3, BLOCK, (1,), valid_round=2)[0],
        "precommit": bench.precommits(0, BLOCK, (1,))[0],
        "proposal": bench.proposal(0, BLOCK),
        "reproposal": bench.proposal(3, BLOCK, 1, bench.certificate(Kind.PREVOTE, 1, BLOCK, (0, 1, 2))),
        "polka": bench.polka(1, BLOCK, valid_round=0),
        "decided": bench.decided(2, BLOCK),
        "status": Status(7, 3, 2, -1),
        "evidence": Evidence(bench.precommits(0, BLOCK, (1,))[0], bench.precommits(0, None, (1,))[0]),
    }


@pytest.mark.parametrize("name", list(_messages()))
def test_round_trip(name):
    message = _messages()[name]
    assert decode(message.encode()) == message


@pytest.mark.parametrize("name", list(_messages()))
def test_a_claim_is_the_message_without_its_block(name):
    message = _messages()[name]
    claim = decode_claim(message.encode())
    assert claim == getattr(message, "statement", getattr(message, "certificate", message))


def test_a_claim_does_not_decode_the_block():
    proposal = BENCH.proposal(0, BLOCK)
    body = rlp.encode_list([b"\x01" * 999])
    foreign = rlp.encode_list([rlp.encode_bytes(b"header"), body])
    parts = [b"\x02", proposal.statement.item(), rlp.encode_bytes(foreign), rlp.EMPTY_LIST]
    with pytest.raises(MalformedMessage, match="header"):
        decode_claim(rlp.encode_list(parts))  # not even the header is what was signed
    parts[2] = rlp.encode_bytes(rlp.encode_list([BLOCK.header.encode(), body]))
    assert decode_claim(rlp.encode_list(parts)) == proposal.statement
    with pytest.raises(MalformedMessage):
        decode(rlp.encode_list(parts))


def test_signing_digest_is_fixed():
    domain = ChainDomain(1337, Hash32(b"\x07" * 32))
    vote = Statement(Kind.PREVOTE, 5, 2, Hash32(b"\x01" * 32), 1, Address(b"\x02" * 20))
    fields = [b"cons/v1", b"\x05\x39", b"\x07" * 32, b"\x02", b"\x05", b"\x02", b"\x01" * 32, b"\x02"]
    assert vote.signing_digest(domain) == keccak256(rlp.encode(fields))
    nil = Statement(Kind.PRECOMMIT, 5, 0, NIL, NONE, Address(b"\x02" * 20))
    fields = [b"cons/v1", b"\x05\x39", b"\x07" * 32, b"\x03", b"\x05", b"", b"", b""]
    assert nil.signing_digest(domain) == keccak256(rlp.encode(fields))


def test_every_signed_field_changes_the_digest():
    domain = ChainDomain(1, Hash32(b"\x07" * 32))
    a, b = Hash32(b"\x01" * 32), Hash32(b"\x02" * 32)
    who = Address(b"\x02" * 20)
    variants = [
        Statement(Kind.PREVOTE, 5, 3, a, 1, who),
        Statement(Kind.PRECOMMIT, 5, 3, a, 1, who),
        Statement(Kind.PREVOTE, 6, 3, a, 1, who),
        Statement(Kind.PREVOTE, 5, 4, a, 1, who),
        Statement(Kind.PREVOTE, 5, 3, b, 1, who),
        Statement(Kind.PREVOTE, 5, 3, a, 0, who),
        Statement(Kind.PREVOTE, 5, 3, a, NONE, who),
        Statement(Kind.PREVOTE, 5, 3, NIL, NONE, who),
    ]
    digests = [variant.signing_digest(domain) for variant in variants]
    digests += [variants[0].signing_digest(ChainDomain(2, domain.genesis_hash))]
    digests += [variants[0].signing_digest(ChainDomain(1, Hash32(b"\x08" * 32)))]
    assert len(dict.fromkeys(digests)) == len(digests)


def _vote_item(**changes: object) -> list[object]:
    fields: dict[str, object] = {
        "kind": b"\x02",
        "height": b"\x05",
        "round": b"\x03",
        "hash": b"\x01" * 32,
        "valid": b"\x02",
        "validator": b"\x02" * 20,
        "signature": b"\x03" * 65,
    }
    fields.update(changes)
    return list(fields.values())


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": b"\x01"},
        {"kind": b"\x04"},
        {"kind": b""},
        {"height": b"\x00\x05"},
        {"height": b"\xff" * 8},
        {"round": b"\xff" * 4},
        {"hash": b"\x01" * 31},
        {"hash": b""},
        {"valid": b"\x04"},
        {"kind": b"\x03"},
        {"validator": b"\x02" * 19},
        {"signature": b"\x03" * 64},
        {"signature": [b"\x03"]},
    ],
)
def test_a_vote_with_a_bad_field_is_malformed(changes):
    decode(rlp.encode([b"\x01", _vote_item()]))
    with pytest.raises(MalformedMessage):
        decode(rlp.encode([b"\x01", _vote_item(**changes)]))


def test_certificates_are_canonical():
    certificate = BENCH.decided(0, BLOCK).certificate
    assert decode_certificate(certificate.encode()) == certificate
    for signatures in ((), certificate.signatures[::-1], certificate.signatures[:1] * 2):
        changed = type(certificate)(Kind.PRECOMMIT, 1, 0, BLOCK.hash, NONE, signatures)
        with pytest.raises(MalformedMessage):
            decode_certificate(changed.encode())


def test_a_certificate_message_fits_its_block():
    other = BENCH.block(b"other")
    good = BENCH.decided(0, BLOCK)
    for wrong in (
        type(good)(other, good.certificate),
        type(good)(BLOCK, BENCH.certificate(Kind.PREVOTE, 0, BLOCK, (1, 2, 3))),
    ):
        with pytest.raises(MalformedMessage):
            decode(wrong.encode())
    with pytest.raises(MalformedMessage):
        decode(Proposal(BENCH.proposal(0, other).statement, BLOCK).encode())
    reproposal = BENCH.proposal(3, BLOCK, 1, BENCH.certificate(Kind.PREVOTE, 2, BLOCK, (0, 1, 2)))
    with pytest.raises(MalformedMessage):
        decode(reproposal.encode())
    with pytest.raises(MalformedMessage):
        decode(BENCH.proposal(3, BLOCK, 1, None).encode())


def test_too_large_is_refused_before_decoding():
    with pytest.raises(MalformedMessage, match="exceeds"):
        decode(b"\x00" * (MESSAGE_BYTES_MAX + 1))


@given(st.binary(max_size=400))
def test_decode_is_total(data):
    with contextlib.suppress(MalformedMessage):
        decode_claim(data)
    try:
        message = decode(data)
    except MalformedMessage:
        return
    assert message.encode() == data


@given(st.sampled_from(list(_messages())), st.data())
def test_decode_is_total_near_real_messages(name, data):
    encoded = bytearray(_messages()[name].encode())
    for _ in range(data.draw(st.integers(1, 3))):
        encoded[data.draw(st.integers(0, len(encoded) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(MalformedMessage):
        decode_claim(bytes(encoded))
    try:
        message = decode(bytes(encoded))
    except MalformedMessage:
        return
    assert message.encode() == bytes(encoded)


def test_questions_and_answers_after_a_lost_disk_read_back():
    asker, teller = Address(b"\x01" * 20), Address(b"\x02" * 20)
    answer = Standing(asker, 2**64 - 1, 2**40, True, teller, b"s" * 65)
    for message in (Inquiry(asker, 7), answer):
        assert decode(message.encode()) == message
        assert decode_claim(message.encode()) == message, "as the driver reads it first"
    domain = ChainDomain(1, Hash32(b"\x07" * 32))
    assert len({replace(answer, **change).signing_digest(domain) for change in CHANGES}) == len(CHANGES)
    for bad in (answer.encode()[:-1], Inquiry(asker, 7).encode() + b"\x80", replace(answer, signature=b"").encode()):
        with pytest.raises(MalformedMessage):
            decode(bad)


CHANGES = ({}, {"asker": Address(b"\x03" * 20)}, {"number": 1}, {"height": 1}, {"heard": False})
