"""Official TransactionTests (decoding, signatures, hashes, intrinsic gas), signing and address tests."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from network.vectors.networks import spec_named
from node.crypto import secp256k1
from node.crypto.hashes import keccak256
from node.execution.intrinsic import intrinsic_gas
from node.execution.validity import check_transaction
from node.primitives.scalars import U64_MAX, U256_MAX, Address
from node.types import transactions
from node.types.invalid import InvalidTransaction
from node.types.transactions import LEGACY, Transaction
from tests.vectors.archives import read_files

pytestmark = pytest.mark.vectors

ARCHIVE = "trie_rlp_tx_tests"


@dataclass
class RichestSender:
    """An account with the transaction's nonce that can pay its value, and any fee that fits into 256 bits."""

    tx: Transaction

    def nonce(self, address: Address) -> int:
        return self.tx.nonce

    def balance(self, address: Address) -> int:
        return self.tx.value + U256_MAX

    def code(self, address: Address) -> bytes:
        return b""


def read(part: str) -> Iterator[tuple[str, dict[str, Any]]]:
    yield from read_files(ARCHIVE, lambda name: part in name.lower())


def checked(raw: bytes, fork: str) -> tuple[Transaction, int]:
    """The transaction and its intrinsic gas, if a block of the fork could hold it. Raises InvalidTransaction."""
    tx = transactions.decode(raw)
    spec = spec_named(fork)
    assert spec is not None, fork
    check_transaction(
        tx,
        accounts=RichestSender(tx),
        spec=spec,
        chain_id=1,
        base_fee=0,
        blob_base_fee=1,
        gas_available=U64_MAX,
        blob_gas_available=U64_MAX,
    )
    return tx, intrinsic_gas(tx, spec)[0]


def test_official_transactions() -> None:
    problems: list[str] = []
    valid = refused = 0
    for name, content in read("transaction"):
        for test, body in content.items():
            raw = bytes.fromhex(body["txbytes"].removeprefix("0x"))
            for fork, result in body["result"].items():
                case = f"{name} {test} {fork}"
                try:
                    tx, gas = checked(raw, fork)
                except InvalidTransaction as error:
                    refused += 1
                    if "exception" not in result:
                        problems.append(f"{case}: refused: {error}")
                    continue
                if "exception" in result:
                    problems.append(f"{case}: accepted, should be {result['exception']}")
                    continue
                valid += 1
                expected = (result["hash"], result["sender"], int(result["intrinsicGas"], 16))
                if ("0x" + tx.hash.hex(), "0x" + tx.sender.hex(), gas) != expected:
                    problems.append(f"{case}: another hash, sender or intrinsic gas")
    assert not problems, "\n".join(problems[:20])
    assert valid == 116
    assert refused > 300


def test_signing_as_the_oldest_clients_did() -> None:
    """txtest.json: v is 27 or 28, no chain id."""
    for _, content in read("txtest.json"):
        for test in content:
            tx = Transaction(
                type=LEGACY,
                nonce=test["nonce"],
                gas_limit=test["startgas"],
                to=Address(bytes.fromhex(test["to"])) if test["to"] else None,
                value=test["value"],
                data=bytes.fromhex(test["data"]),
                max_fee_per_gas=test["gasprice"],
                max_priority_fee_per_gas=test["gasprice"],
            )
            key = bytes.fromhex(test["key"])
            signed = transactions.decode(bytes.fromhex(test["signed"]))
            assert signed.signing_hash() == tx.signing_hash()
            # Recovered below the low-s rule of EIP-2, which is younger than one of these signatures.
            recovered = secp256k1.recover_address(signed.signing_hash(), signed.y_parity, signed.r, signed.s)
            assert recovered == secp256k1.address_of_private_key(key)
            assert tx.signed_by(key).sender == recovered


def test_addresses_of_brain_wallets() -> None:
    for _, content in read("keyaddrtest.json"):
        for test in content:
            key = bytes.fromhex(test["key"])
            assert keccak256(test["seed"].encode()) == key
            address = secp256k1.address_of_private_key(key)
            assert address.hex() == test["addr"]
