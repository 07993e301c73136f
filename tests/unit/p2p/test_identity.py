"""Keys and dial strings."""

from __future__ import annotations

import pytest

from node.p2p.identity import Identity, InvalidKey, KeyPair, parse_dial_string

SEED = bytes(range(32))


def test_x25519_agrees_with_rfc_7748_section_6_1() -> None:
    bob = KeyPair(bytes.fromhex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb"))
    alice_public = bytes.fromhex("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a")
    assert bob.public.hex() == "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"
    assert bob.agree(alice_public).hex() == "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"


def test_secrets_do_not_show() -> None:
    identity = Identity(SEED)
    assert SEED.hex() not in repr(identity) + repr(identity.key)
    assert SEED.hex()[:16] not in repr(identity) + repr(identity.key)


@pytest.mark.parametrize("text", ["", "12", "zz" * 32, "00" * 31, "00" * 33])
def test_a_bad_key_file_is_refused_without_being_quoted(text: str) -> None:
    with pytest.raises(InvalidKey) as refusal:
        Identity.from_hex(text)
    assert not text or text not in str(refusal.value)
    assert refusal.value.__suppress_context__ or refusal.value.__context__ is None


def test_a_key_file_may_have_a_prefix_and_a_newline() -> None:
    assert Identity.from_hex("0x" + SEED.hex() + "\n").node_id == Identity(SEED).node_id


@pytest.mark.parametrize("point", [b"\x00" * 32, b"\x01" + b"\x00" * 31, b"", b"\x05" * 31])
def test_points_of_small_order_are_no_partners(point: bytes) -> None:
    with pytest.raises(InvalidKey):
        KeyPair(SEED).agree(point)


def test_dial_strings_go_both_ways() -> None:
    identity = Identity(SEED)
    for address in ("127.0.0.1:30303", "[::1]:1", "node-1.example:65535"):
        target = parse_dial_string(identity.dial_string(address))
        assert (target.node_id, target.address) == (identity.node_id, address)
        assert str(target) == identity.dial_string(address)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("enode://ab@1.2.3.4:5", "does not start"),
        ("evmesh://" + "ab" * 32, "no @host:port"),
        ("evmesh://xy@1.2.3.4:5", "not hex"),
        ("evmesh://abcd@1.2.3.4:5", "32 bytes"),
        ("evmesh://" + "ab" * 32 + "@1.2.3.4", "host:port"),
        ("evmesh://" + "ab" * 32 + "@1.2.3.4:99999", "host:port"),
    ],
)
def test_a_bad_dial_string_says_what_is_wrong(text: str, what: str) -> None:
    with pytest.raises(ValueError, match=what):
        parse_dial_string(text)
