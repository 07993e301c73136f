"""The Noise handshake: published vectors, tampering, impostors."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.p2p.handshake import HANDSHAKE_BYTES_MAX, HandshakeFailed, Initiator, Responder, SessionKeys
from node.p2p.identity import Identity, KeyPair, NodeId

ALICE, BOB, MALLORY = (Identity(bytes([number]) * 32) for number in (1, 2, 3))


def shake(
    initiator: Initiator, responder: Responder, change: tuple[int, int, int] | None = None
) -> tuple[SessionKeys, SessionKeys]:
    """Run the handshake; ``change`` = (message, byte, xor) alters it on the way."""

    def pass_on(number: int, message: bytes) -> bytes:
        if change is None or change[0] != number:
            return message
        altered = bytearray(message)
        altered[change[1] % len(altered)] ^= change[2]
        return bytes(altered)

    responder.read_first(pass_on(0, initiator.write_first()))
    initiator.read_second(pass_on(1, responder.write_second()))
    third, ours = initiator.write_third()
    _, theirs = responder.read_third(pass_on(2, third))
    return ours, theirs


def fresh(expected: NodeId | None = BOB.node_id) -> tuple[Initiator, Responder]:
    return Initiator(ALICE, b"\x11" * 32, expected), Responder(BOB, b"\x22" * 32)


def test_the_published_vector_of_noise_xx() -> None:
    """Noise_XX_25519_ChaChaPoly_SHA256 with payloads, as many implementations publish it."""
    initiator = Initiator(Identity(bytes(range(32))), bytes(range(0x20, 0x40)), prologue=b"")
    responder = Responder(Identity(bytes(range(1, 33))), bytes(range(0x41, 0x61)), prologue=b"")
    first = initiator.write_first(b"test_msg_0")
    assert first.hex() == "358072d6365880d1aeea329adf9121383851ed21a28e3b75e965d0d2cd166254746573745f6d73675f30"
    assert responder.read_first(first) == b"test_msg_0"
    second = responder.write_second(b"test_msg_1")
    assert second.hex() == (
        "64b101b1d0be5a8704bd078f9895001fc03e8e9f9522f188dd128d9846d484663414af878d3e46a2f58911a816d6e8346d4ea17a6f"
        "2a0bb4ef4ed56c133cff4572e7a2ba5123ac30618b3d205f5c2d17f50cbca216483ac56bcc78e33bf520303278db641e5e731b2e3a"
    )
    assert initiator.read_second(second) == b"test_msg_1"
    third, keys = initiator.write_third(b"test_msg_2")
    assert third.hex() == (
        "87f864c11ba449f46a0a4f4e2eacbb7b0457784f4fca1937f572c93603e9c4d9f27e318e43ba630594c4d08eeb3b36d97c7377a2f4"
        "f9144b2f0c8095ad92140505b2ab53eff244b14138"
    )
    payload, other_keys = responder.read_third(third)
    assert payload == b"test_msg_2"
    assert (keys.send, keys.receive) == (other_keys.receive, other_keys.send)
    assert keys.transcript == other_keys.transcript


def test_both_sides_learn_who_the_other_is() -> None:
    ours, theirs = shake(*fresh())
    assert (ours.remote, theirs.remote) == (BOB.node_id, ALICE.node_id)
    assert ours.send == theirs.receive != ours.receive == theirs.send
    assert ours.send.hex() not in repr(ours)


def test_fresh_ephemeral_keys_make_fresh_session_keys() -> None:
    one, _ = shake(*fresh())
    other, _ = shake(Initiator(ALICE, b"\x33" * 32, None), Responder(BOB, b"\x22" * 32))
    assert one.send != other.send


@settings(max_examples=60, deadline=None)
@given(message=st.integers(0, 2), byte=st.integers(0, 500), change=st.integers(1, 255))
def test_a_changed_byte_anywhere_fails_the_handshake(message: int, byte: int, change: int) -> None:
    try:
        shake(*fresh(), change=(message, byte, change))
    except HandshakeFailed:
        return
    # the top bit of an X25519 coordinate is not part of the number, but it is part of the transcript
    pytest.fail("the change went unnoticed")


@settings(max_examples=40, deadline=None)
@given(st.binary(max_size=2 * HANDSHAKE_BYTES_MAX))
def test_garbage_fails_and_nothing_else(data: bytes) -> None:

    def as_responder() -> None:
        responder = Responder(BOB, b"\x22" * 32)
        responder.read_first(data)
        responder.write_second()
        responder.read_third(data)

    with pytest.raises(HandshakeFailed):
        as_responder()
    initiator, _ = fresh()
    initiator.write_first()
    with pytest.raises(HandshakeFailed):
        initiator.read_second(data)


def test_the_dialled_identity_must_answer() -> None:
    initiator = Initiator(ALICE, b"\x11" * 32, BOB.node_id)
    impostor = Responder(MALLORY, b"\x22" * 32)
    impostor.read_first(initiator.write_first())
    with pytest.raises(HandshakeFailed, match=r"dialled .* but .* answers"):
        initiator.read_second(impostor.write_second())


def test_an_impostor_cannot_claim_an_identity_whose_key_it_lacks() -> None:
    """Mallory says that she is Bob: she has Bob's public key, but not the private one."""

    class Claimed(KeyPair):
        __slots__ = ()

        def __init__(self) -> None:
            super().__init__(b"\x03" * 32)
            self.public = BOB.node_id

    liar = Identity(b"\x03" * 32)
    liar.key, liar.node_id = Claimed(), BOB.node_id
    initiator = Initiator(ALICE, b"\x11" * 32, BOB.node_id)
    impostor = Responder(liar, b"\x22" * 32)
    impostor.read_first(initiator.write_first())
    with pytest.raises(HandshakeFailed):
        initiator.read_second(impostor.write_second())

    dialler = Initiator(liar, b"\x11" * 32, ALICE.node_id)
    responder = Responder(ALICE, b"\x22" * 32)
    responder.read_first(dialler.write_first())
    dialler.read_second(responder.write_second())
    with pytest.raises(HandshakeFailed):
        responder.read_third(dialler.write_third()[0])


def test_a_man_in_the_middle_with_his_own_keys_is_found_out() -> None:
    """He completes a handshake with each side; the dialler sees his identity instead of Bob's."""
    alice = Initiator(ALICE, b"\x11" * 32, BOB.node_id)
    towards_alice = Responder(MALLORY, b"\x44" * 32)
    towards_bob, bob = Initiator(MALLORY, b"\x55" * 32, BOB.node_id), Responder(BOB, b"\x22" * 32)
    _, bobs = shake(towards_bob, bob)
    assert bobs.remote == MALLORY.node_id, "towards Bob he can only be himself"
    towards_alice.read_first(alice.write_first())
    with pytest.raises(HandshakeFailed, match="dialled"):
        alice.read_second(towards_alice.write_second())


def test_messages_of_another_handshake_do_not_fit() -> None:
    """Replaying a recorded third message does not make one Alice."""
    initiator, responder = fresh()
    responder.read_first(initiator.write_first())
    initiator.read_second(responder.write_second())
    recorded, _ = initiator.write_third()
    again = Responder(BOB, b"\x66" * 32)
    again.read_first(Initiator(ALICE, b"\x11" * 32).write_first())
    again.write_second()
    with pytest.raises(HandshakeFailed):
        again.read_third(recorded)


def test_another_protocol_version_does_not_fit() -> None:
    with pytest.raises(HandshakeFailed):
        shake(Initiator(ALICE, b"\x11" * 32, prologue=b"evmesh p2p 2"), Responder(BOB, b"\x22" * 32))


def test_one_does_not_talk_to_oneself() -> None:
    with pytest.raises(HandshakeFailed, match="our own"):
        shake(Initiator(BOB, b"\x11" * 32), Responder(BOB, b"\x22" * 32))


def test_steps_out_of_order_are_our_mistake() -> None:
    initiator, responder = fresh()
    with pytest.raises(AssertionError):
        initiator.write_third()
    with pytest.raises(AssertionError):
        responder.write_second()
