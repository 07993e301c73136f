"""Messages, protection, justification and duties of pos."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.consensus.engine import MalformedMessage
from node.consensus.pos.checkpoints import Checkpoint
from node.consensus.pos.committees import DutyRoster, active_at
from node.consensus.pos.justification import Justification, weigh
from node.consensus.pos.messages import (
    Attestation,
    Body,
    GetBlocksByRange,
    GetBlocksByRoot,
    Message,
    SignedBlock,
    SignedHeader,
    Slashing,
    Status,
    conviction,
    decode,
    decode_body,
    decode_claim,
)
from node.consensus.pos.protection import SlashingProtection
from node.crypto.hashes import keccak256
from node.primitives.scalars import Hash32
from tests.unit.consensus.pos.scenes import GENESIS, address, block_of, rules

A, B = keccak256(b"a"), keccak256(b"b")
SIGNATURE = bytes(range(65))


def attestation(validator: int = 0, source: int = 0, target: int = 1, head: Hash32 = A, slot: int = 4) -> Attestation:
    return Attestation(slot, head, Checkpoint(source, B), Checkpoint(target, A), address(validator), SIGNATURE)


def signed_header(block_hash: Hash32 = A, slot: int = 4) -> SignedHeader:
    return SignedHeader(slot, address(0), block_hash, SIGNATURE)


EVIDENCE = Slashing(attestation(), attestation(head=B))
BODY = Body(
    5,
    address(1),
    (attestation(0), attestation(2), attestation(3, head=B)),
    (EVIDENCE, Slashing(signed_header(), signed_header(B))),
)
BLOCK = SignedBlock(block_of(rules(), GENESIS.header, BODY), BODY, SIGNATURE)
MESSAGES: list[Message] = [
    attestation(),
    EVIDENCE,
    Slashing(signed_header(), signed_header(B)),
    BLOCK,
    Status(9, A, 7, Checkpoint(1, B), 3, 5, 2**255),
    GetBlocksByRoot((A, B)),
    GetBlocksByRange(3, 64),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_messages_come_back(message: Message) -> None:
    data = message.encode()
    assert decode(data) == message
    claim = decode_claim(data)
    assert claim == (message.header if isinstance(message, SignedBlock) else message)
    assert isinstance(message, SignedBlock) or len(data) <= 512


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_broken_bytes_are_refused_in_words(message: Message) -> None:
    data = message.encode()
    for position in range(0, len(data), max(1, len(data) // 150)):
        for broken in (data[:position], data[:position] + bytes([data[position] ^ 0x55]) + data[position + 1 :]):
            try:
                decode(broken)
            except MalformedMessage:
                continue
    for junk in (b"", b"\xc0", b"\xc1\x09", bytes(600)):
        with pytest.raises(MalformedMessage):
            decode(junk)


def test_a_body_has_one_encoding_and_the_header_commits_to_it() -> None:
    assert decode_body(BODY.encode()) == BODY
    other = Body(5, address(1))
    with pytest.raises(MalformedMessage, match="commits to another body"):
        decode(SignedBlock(BLOCK.block, other, SIGNATURE).encode())
    with pytest.raises(MalformedMessage, match="not what was signed"):
        decode(BLOCK.encode().replace(BLOCK.block.hash, A))


def test_digests_are_bound_to_the_chain() -> None:
    here, elsewhere = rules(8), rules(8)
    object.__setattr__(elsewhere, "chain_id", 1)
    digests = {
        attestation().signing_digest(here),
        attestation().signing_digest(elsewhere),
        attestation(head=B).signing_digest(here),
        BLOCK.signing_digest(here),
        BLOCK.signing_digest(elsewhere),
    }
    assert len(digests) == 5


def test_what_convicts() -> None:
    assert conviction(Slashing(signed_header(), signed_header(B))) == "double proposal"
    assert conviction(Slashing(signed_header(), signed_header(B, slot=5))) == ""
    assert conviction(EVIDENCE) == "double vote"
    assert conviction(Slashing(attestation(), attestation())) == ""
    assert conviction(Slashing(attestation(source=1, target=4), attestation(source=2, target=3))) == "surround vote"
    assert conviction(Slashing(attestation(source=2, target=3), attestation(source=1, target=4))) == "surround vote"
    assert conviction(Slashing(attestation(source=1, target=3), attestation(source=1, target=4))) == ""
    assert conviction(Slashing(attestation(0), attestation(1, head=B))) == ""
    with pytest.raises(MalformedMessage, match="convicts nobody"):
        decode(Slashing(attestation(), attestation()).encode())


# --- protection ------------------------------------------------------------------------------------

VOTES = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 6), st.integers(0, 6), st.booleans()), max_size=25)


@given(VOTES, st.integers(0, 25))
def test_protection_never_signs_what_convicts(votes: list[tuple[int, int, int, bool]], restart: int) -> None:
    """Against the O(n²) definition, across a restart from a log that keeps only what must be kept."""
    guard = SlashingProtection()
    log: list[Attestation] = []
    for number, (validator, source, target, flip) in enumerate(votes):
        if number == restart:
            guard = SlashingProtection([message for message in log if guard.must_keep(message)])
        draft = attestation(validator, source, target, B if flip else A)
        if not guard.refusal(draft):
            guard.signed(draft)
            log.append(draft)
    for index, first in enumerate(log):
        assert first.source.epoch <= first.target.epoch
        assert not any(conviction(Slashing(first, second)) for second in log[index + 1 :])


def test_protection_lets_the_honest_vote_and_propose() -> None:
    guard = SlashingProtection()
    for epoch in range(1, 6):
        for validator in (0, 1):
            vote = attestation(validator, epoch - 1, epoch)
            assert guard.refusal(vote) == ""
            guard.signed(vote)
            assert "signed already" in guard.refusal(attestation(validator, epoch - 1, epoch, B))
    assert "below 4" in guard.refusal(attestation(0, 3, 9))
    assert guard.refusal(BLOCK) == ""
    guard.signed(BLOCK)
    assert "slot 5" in guard.refusal(BLOCK)


# --- justification ---------------------------------------------------------------------------------


def marks(bits: int, previous: int, current: int) -> Justification:
    return Justification(bits, Checkpoint(previous, A), Checkpoint(current, A), Checkpoint(0, A))


@pytest.mark.parametrize(
    ("before", "previous_weight", "current_weight", "justified", "finalized"),
    [
        (marks(0b0110, 7, 7), 20, 0, 9, 7),  # bits 1-3: 7 by 8 and 9's votes, three back
        (marks(0b0100, 7, 7), 20, 0, 9, 0),  # epoch 8's bit is missing: nothing
        (marks(0b0001, 8, 9), 20, 0, 9, 0),
        (marks(0b0011, 8, 9), 20, 0, 9, 8),  # bits 1-2, two back
        (marks(0b0011, 7, 8), 20, 20, 10, 8),  # bits 0-2: current, two back
        (marks(0b0001, 8, 9), 20, 20, 10, 9),  # bits 0-1, one back
        (marks(0b0001, 8, 9), 20, 19, 9, 0),  # just below two thirds of 30
        (marks(0b0001, 8, 9), 19, 20, 10, 9),  # the bit of epoch 9 is set already
        (marks(0b0000, 5, 5), 19, 19, 5, 0),
    ],
)
def test_four_ways_to_finality(
    before: Justification, previous_weight: int, current_weight: int, justified: int, finalized: int
) -> None:
    after = weigh(before, 10, Checkpoint(9, B), Checkpoint(10, B), 30, previous_weight, current_weight)
    assert (after.current.epoch, after.finalized.epoch) == (justified, finalized)
    assert after.previous == before.current


# --- duties ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("validators", "slots"), [(1, 2), (3, 4), (16, 2), (64, 8), (7, 3)])
def test_each_validator_attests_once_an_epoch(validators: int, slots: int) -> None:
    chain = rules(validators, slots)
    orders = set()
    for epoch in range(5):
        duties = DutyRoster(chain).of(epoch, {})
        members = [index for slot in range(epoch * slots, (epoch + 1) * slots) for index in duties.committee(slot)]
        assert sorted(members) == list(range(validators))
        orders.add(tuple(members))
        assert all(0 <= duties.proposer(slot) < validators for slot in range(epoch * slots, (epoch + 1) * slots))
    assert len(orders) > 1 or validators == 1


def test_the_convicted_leave_and_the_last_one_stays() -> None:
    chain = rules(3)
    assert active_at(chain, 4, {1: 5}) == (0, 1, 2)
    assert active_at(chain, 5, {1: 5}) == (0, 2)
    assert active_at(chain, 5, {0: 1, 1: 5, 2: 5}) == (0, 1, 2)
    assert 1 not in DutyRoster(chain).of(5, {1: 5}).committee(20)
