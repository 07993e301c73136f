"""Keys and addresses against eth-account and the published vectors."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from network import accounts
from network.failures import BadInput

# BIP-32, test vectors 1 and 3 (the latter: leading zeros are kept)
BIP32 = [
    ("000102030405060708090a0b0c0d0e0f", "m", "e8f32e723decf4051aefac8e2c93c9c5b214313817cdb01a1494b917c8436b35"),
    ("000102030405060708090a0b0c0d0e0f", "m/0'", "edb2e14f9ee77d26dd93b4ecede8d16ed408ce149b6cd80b0715a2d911a0afea"),
    (
        "000102030405060708090a0b0c0d0e0f",
        "m/0'/1/2'/2/1000000000",
        "471b76e389e528d6de6d816857e012c5455051cad6660850e58372a6c3e6e7c8",
    ),
    (
        "4b381541583be4423346c643850da4b320e46a87ae3d2a4e6da11eba819cd4acba45d239319ac14f863b8d5ab5a0d0c64d2e8a1e7d1457df2e5a3c51c73235be",
        "m/0'",
        "491f7a2eebc7b57028e0d3faa0acda02e75c33b03c48fb288c41e2ea44e1daef",
    ),
]


@pytest.mark.parametrize(("seed", "path", "key"), BIP32)
def test_bip32_vectors(seed, path, key):
    assert accounts.ExtendedKey.from_seed(bytes.fromhex(seed)).descend(path).private_key.hex() == key


def test_the_accounts_everyone_knows():
    first, second = accounts.derive_accounts(accounts.seed_of(accounts.DEFAULT_MNEMONIC), 2)
    assert first.checksummed == "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
    assert first.private_key.hex() == "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
    assert second.checksummed == "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"


def test_same_as_eth_account():
    eth_account = pytest.importorskip("eth_account")
    eth_account.Account.enable_unaudited_hdwallet_features()
    mnemonic = "legal winner thank year wave sausage worth useful legal winner thank yellow"
    ours = accounts.derive_accounts(accounts.seed_of(mnemonic), 4)
    for index, account in enumerate(ours):
        theirs = eth_account.Account.from_mnemonic(mnemonic, account_path=f"{accounts.ACCOUNT_PATH}/{index}")
        assert account.private_key == bytes(theirs.key)
        assert account.checksummed == theirs.address


def test_keys_do_not_show():
    account = accounts.derive_accounts(accounts.seed_of(accounts.DEFAULT_MNEMONIC), 1)[0]
    assert account.private_key.hex() not in repr(account)
    assert "key" not in repr(accounts.ExtendedKey(b"\x01" * 32, b"\x02" * 32)).lower().replace("extendedkey", "")


@settings(max_examples=50)
@given(st.binary(min_size=20, max_size=20))
def test_checksummed_address_reads_back(address):
    text = accounts.checksum_address(address)
    assert accounts.parse_address(text) == address
    assert accounts.parse_address(text.lower()) == address


@pytest.mark.parametrize(
    "text", ["", "0x", "0x12", "f39fd6e51aad88f6f4ce6ab8827279cfffb92266", "0x" + "g" * 40, "0x" + " 1" * 20]
)
def test_wrong_addresses_are_refused(text):
    with pytest.raises(BadInput):
        accounts.parse_address(text)


def test_a_typing_mistake_in_a_checksummed_address_is_found():
    with pytest.raises(BadInput, match="checksum"):
        accounts.parse_address("0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92267")


@pytest.mark.parametrize("path", ["44'/0", "m/x", "m/-1", "m/2147483648", "m//1"])
def test_wrong_paths_are_refused(path):
    with pytest.raises(BadInput):
        accounts.ExtendedKey.from_seed(b"seed").descend(path)


def test_a_short_mnemonic_is_refused():
    with pytest.raises(BadInput, match="3 words"):
        accounts.seed_of("one two three")
