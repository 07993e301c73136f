"""Point evaluation without a setup file, checked against polynomials and against ckzg where it is installed."""

import importlib.util
from pathlib import Path

import pytest

from node.crypto import kzg
from node.crypto.kzg_setup import G1_POWERS, G2_TAU, G2_TAU_64

G1 = bytes.fromhex("97f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac586c55e83ff97a1aeffb3af00adb22c6bb")
INFINITY = b"\xc0" + bytes(47)


def test_versioned_hash() -> None:
    assert kzg.versioned_hash(INFINITY).hex() == "010657f37554c781402a22917dee2f75def7ab966d7b770905398eba3c444014"


@pytest.mark.parametrize("z", [0, 1, 12345, kzg.BLS_MODULUS - 1])
def test_constant_polynomials(z: int) -> None:
    """The quotient of a constant is 0: its proof is infinity everywhere."""
    assert kzg.evaluation_holds(INFINITY, z, 0, INFINITY)
    assert kzg.evaluation_holds(G1, z, 1, INFINITY)
    assert not kzg.evaluation_holds(G1, z, 2, INFINITY)
    assert not kzg.evaluation_holds(G1, z, 1, G1)


@pytest.mark.parametrize(
    ("commitment", "z", "y", "proof"),
    [
        (INFINITY, kzg.BLS_MODULUS, 0, INFINITY),
        (INFINITY, 0, kzg.BLS_MODULUS, INFINITY),
        (bytes(48), 0, 0, INFINITY),
        (b"\xe0" + bytes(47), 0, 0, INFINITY),
        (INFINITY, 0, 0, INFINITY[:47] + b"\x01"),
        (b"\x40" + bytes(47), 0, 0, INFINITY),
        (b"\x9a\x01\x11\xea" + b"\xff" * 44, 0, 0, INFINITY),
        (INFINITY, 0, 0, b"\xff" * 48),
        (INFINITY[:47], 0, 0, INFINITY),
        (INFINITY, 0, 0, INFINITY + b"\x00"),
        (b"\x9b" + b"\x11" * 47, 0, 0, INFINITY),
    ],
    ids=range(11),
)
def test_malformed(commitment: bytes, z: int, y: int, proof: bytes) -> None:
    assert not kzg.evaluation_holds(commitment, z, y, proof)


def setup_path() -> Path:
    """The ceremony's setup, which eth-account ships."""
    found = importlib.util.find_spec("eth_account")
    if found is None or found.origin is None:
        pytest.skip("eth-account, which ships the trusted setup, is not installed")
    path = Path(found.origin).parent / "typed_transactions" / "blob_transactions" / "kzg_trusted_setup.txt"
    if not path.exists():
        pytest.skip("this eth-account ships no trusted setup")
    return path


def setup_lines() -> list[str]:
    """Two counts, then G1 Lagrange, G2 powers, G1 powers."""
    return setup_path().read_text().split()


def test_the_constants_are_the_ceremony_s() -> None:
    lines = setup_lines()
    lagrange_count, g2_count = int(lines[0]), int(lines[1])
    in_g2 = lines[2 + lagrange_count :]
    assert (in_g2[1], in_g2[64]) == (G2_TAU.hex(), G2_TAU_64.hex())
    assert "".join(in_g2[g2_count : g2_count + 64]) == G1_POWERS.hex()


def test_the_identity_polynomial() -> None:
    """p(x) = x is committed to by [tau]; its value at z is z; its quotient is the constant 1."""
    lines = setup_lines()
    lagrange_count, g2_count = int(lines[0]), int(lines[1])
    powers = lines[2 + lagrange_count + g2_count :]
    assert bytes.fromhex(powers[0]) == G1
    tau = bytes.fromhex(powers[1])
    for z in (0, 7, kzg.BLS_MODULUS - 1):
        assert kzg.evaluation_holds(tau, z, z, G1)
        assert not kzg.evaluation_holds(tau, z, (z + 1) % kzg.BLS_MODULUS, G1)
