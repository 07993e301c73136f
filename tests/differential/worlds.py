"""The accounts around random programs, and transactions: of every type, and such as must be refused."""

from __future__ import annotations

import random
from typing import Any

from node.crypto import secp256k1
from node.evm.opcodes import Opcode
from node.types.transactions import ACCESS_LIST, BLOB, FEE_MARKET, LEGACY, SET_CODE
from tests.differential.cases import CHAIN_ID, Case, account_json, since, to_hex
from tests.differential.precompile_inputs import numbers
from tests.differential.programs import init_code, runtime_code
from tests.unit.evm.program import operation, program, push

KEYS = tuple(bytes(31) + bytes((number,)) for number in (0x45, 0x46, 0x47))
SENDERS = tuple(secp256k1.address_of_private_key(key) for key in KEYS)
AUTHORITY_KEYS = tuple(bytes(31) + bytes((number,)) for number in (0x61, 0x62, 0x63))
AUTHORITIES = tuple(secp256k1.address_of_private_key(key) for key in AUTHORITY_KEYS)
COINBASE = b"\xc0" * 20
ENTRY = b"\xee" * 20
TARGET = b"\xbb" * 20
ABSENT = b"\xab" * 20
EMPTY = b"\xe0" * 20
CONTRACTS = tuple(bytes((0x10 + number,)) * 20 for number in range(4))
DESTROYER = b"\x21" * 20
FAILING = b"\x22" * 20
ECHO = b"\x23" * 20
RECURSIVE = b"\x24" * 20
DELEGATED = b"\x25" * 20
BIG_BALANCE = b"\x26" * 20
KEPT_GAS = 500
"""What each frame of the recursive contract keeps for itself; it answers how deep it got."""

GAS_LIMIT = 30_000_000
NUMBER = 300


def places(fork: str) -> tuple[int, ...]:
    """What programs may meet: contracts more often than the rest."""
    named = [TARGET, *CONTRACTS * 2, DESTROYER, FAILING, ECHO, RECURSIVE, ABSENT, EMPTY, BIG_BALANCE]
    named += [COINBASE] * 3
    named += [SENDERS[0], AUTHORITIES[0]]
    if since(fork, "Prague"):
        named += [DELEGATED, *AUTHORITIES]
    known = [int.from_bytes(address, "big") for address in named]
    return (*known, 0, *numbers(fork)[:9], 0x0A, 0x0B, 0x12, 0x100)


def allocation(chance: random.Random, fork: str) -> dict[str, Any]:
    """Senders with wei, contracts with random programs, and some with a known one."""
    about = places(fork)
    alloc: dict[bytes, Any] = {}
    for sender in SENDERS:
        alloc[sender] = account_json(10**21, chance.choice((0, 1, 7)))
    if chance.random() < 0.1:
        alloc[SENDERS[2]] = account_json(10**21, chance.choice((2**64 - 2, 2**64 - 1)))
    if chance.random() < 0.08:
        alloc[SENDERS[1]] = account_json(10**21, 1, operation(Opcode.SSTORE, 0, 1))
    for contract in (TARGET, *CONTRACTS):
        storage = {slot: chance.choice((0, 1, 2, 5, 2**255)) for slot in (0, 1, 2, 3, 9)}
        code = runtime_code(chance, fork, about)
        nonce = 1 if chance.random() < 0.95 else chance.choice((2**64 - 2, 2**64 - 1))
        alloc[contract] = account_json(chance.choice((0, 1, 1000, 10**18)), nonce, code, storage)
    alloc[DESTROYER] = account_json(11, 1, operation(Opcode.SELFDESTRUCT, chance.choice(about)), {1: 1})
    alloc[FAILING] = account_json(0, 1, program(operation(Opcode.SSTORE, 0, 1), 0xFE), {0: 1})
    echo = program(Opcode.CALLDATASIZE, push(0), push(0), Opcode.CALLDATACOPY, Opcode.CALLDATASIZE, push(0))
    alloc[ECHO] = account_json(0, 1, program(echo, Opcode.RETURN))
    inputs = program(push(32), push(0), push(0), push(0), push(0), Opcode.ADDRESS)
    itself = program(inputs, push(KEPT_GAS), Opcode.GAS, Opcode.SUB, Opcode.CALL, Opcode.POP)
    deeper = program(push(0), Opcode.MLOAD, push(1), Opcode.ADD, push(0), Opcode.MSTORE)
    alloc[RECURSIVE] = account_json(0, 1, program(itself, deeper, operation(Opcode.RETURN, 0, 32)))
    alloc[BIG_BALANCE] = account_json(2**255)
    if not since(fork, "Paris"):
        alloc[EMPTY] = account_json()
    if since(fork, "Prague"):
        target = chance.choice((*CONTRACTS, ECHO, bytes(19) + b"\x04", DELEGATED, ABSENT))
        alloc[DELEGATED] = account_json(5, 1, b"\xef\x01\x00" + target)
        alloc[AUTHORITIES[0]] = account_json(1, 0)
        alloc[AUTHORITIES[1]] = account_json(1, 3, b"\xef\x01\x00" + CONTRACTS[1])
        if chance.random() < 0.3:
            alloc[AUTHORITIES[2]] = account_json(1, chance.choice((2**64 - 2, 2**64 - 1)))
    return {to_hex(address): account for address, account in alloc.items()}


def environment(chance: random.Random, fork: str, base_fee: int) -> dict[str, Any]:
    """The block around the transactions; names as ``t8n`` has them."""
    found = {
        "currentCoinbase": to_hex(chance.choice((COINBASE, COINBASE, SENDERS[1], CONTRACTS[0]))),
        "currentNumber": to_hex(chance.choice((1, 2, NUMBER))),
        "currentTimestamp": to_hex(1_700_000_000),
        "currentGasLimit": to_hex(GAS_LIMIT),
        "currentDifficulty": "0x20000",
        "currentRandom": to_hex(chance.randbytes(32)),
    }
    if since(fork, "London"):
        found["currentBaseFee"] = to_hex(base_fee)
    if since(fork, "Cancun"):
        found["currentExcessBlobGas"] = to_hex(chance.choice((0, 2**17, 20_000_000, 70_000_000)))
    return found


def program_case(chance: random.Random, fork: str) -> Case:
    """One program, called by a contract that keeps what came back: success, gas, output."""
    alloc = allocation(chance, fork)
    gas = chance.choice((3_000, 30_000, 100_000, 100_000, 300_000, 300_000, 1_000_000, 3_000_000))
    value = chance.choice((0, 0, 0, 1))
    entry = program(
        program(Opcode.CALLDATASIZE, push(0), push(0), Opcode.CALLDATACOPY),
        program(push(64), push(0), Opcode.CALLDATASIZE, push(0), push(value), push(int.from_bytes(TARGET, "big"))),
        program(push(gas), Opcode.CALL, push(0), Opcode.SSTORE, Opcode.GAS, push(1), Opcode.SSTORE),
        program(push(0), Opcode.MLOAD, push(2), Opcode.SSTORE),
    )
    if since(fork, "Byzantium"):
        entry += program(Opcode.RETURNDATASIZE, push(0), push(0), Opcode.RETURNDATACOPY, Opcode.RETURNDATASIZE)
        entry += program(push(0), Opcode.KECCAK256, push(3), Opcode.SSTORE)
        entry += program(Opcode.RETURNDATASIZE, push(0), Opcode.RETURN)
    alloc[to_hex(ENTRY)] = account_json(100, 1, entry, {1: 1})
    tx = _legacy(chance, alloc, 0, ENTRY, gas + 400_000, 0)
    tx["input"] = to_hex(chance.randbytes(chance.choice((0, 4, 32, 68, 100))))
    if fork == "Cancun" or (since(fork, "Berlin") and chance.random() < 0.3):
        for account in alloc.values() if fork == "Cancun" else ():  # more than one revm cannot be given
            account["storage"] = dict(list(account["storage"].items())[:1])
        warm = [address for address, account in alloc.items() if account["storage"]]
        tx |= {"type": "0x1", "accessList": [{"address": address, "storageKeys": []} for address in warm]}
    return {"kind": "program", "fork": fork, "alloc": alloc, "env": environment(chance, fork, 0), "txs": [tx]}


def transaction_case(chance: random.Random, fork: str) -> Case:
    """Some transactions of all types on random contracts."""
    alloc = allocation(chance, fork)
    txs = transactions(chance, fork, alloc, chance.choice((1, 1, 2, 4)))
    return {"kind": "transaction", "fork": fork, "alloc": alloc, "env": environment(chance, fork, 7), "txs": txs}


def row_case(chance: random.Random, fork: str) -> Case:
    """Many transactions of all types on the same contracts: what one leaves is what the next finds."""
    alloc = allocation(chance, fork)
    txs = transactions(chance, fork, alloc, chance.choice((6, 12, 24)))
    return {"kind": "transaction", "fork": fork, "alloc": alloc, "env": environment(chance, fork, 7), "txs": txs}


def transactions(chance: random.Random, fork: str, alloc: dict[str, Any], count: int) -> list[dict[str, Any]]:
    """Transactions in nonce order, so far as those before them are accepted."""
    used = dict.fromkeys(range(len(SENDERS)), 0)
    found = []
    for _ in range(count):
        sender = chance.randrange(len(SENDERS))
        tx = transaction(chance, fork, alloc, sender, used[sender])
        if chance.random() < 0.18:
            spoil(chance, fork, tx)
        else:
            used[sender] += 1
        found.append(tx)
    return found


def _kinds(fork: str) -> list[int]:
    kinds = [LEGACY]
    for kind, first in ((ACCESS_LIST, "Berlin"), (FEE_MARKET, "London"), (BLOB, "Cancun"), (SET_CODE, "Prague")):
        if since(fork, first):
            kinds.append(kind)
    return kinds


def _legacy(
    chance: random.Random, alloc: dict[str, Any], sender: int, to: bytes | None, gas: int, price: int
) -> dict[str, Any]:
    nonce = int(alloc[to_hex(SENDERS[sender])]["nonce"], 16)
    return {
        "type": "0x0",
        "nonce": to_hex(nonce),
        "gasPrice": to_hex(price),
        "gas": to_hex(gas),
        "to": None if to is None else to_hex(to),
        "value": "0x0",
        "input": "0x",
        "protected": False,
        "secretKey": to_hex(KEYS[sender]),
    }


def transaction(chance: random.Random, fork: str, alloc: dict[str, Any], sender: int, used: int) -> dict[str, Any]:
    """One that may stand in a block, most likely; ``used`` of its sender's go before it."""
    kind = chance.choice(_kinds(fork))
    creates = kind not in (BLOB, SET_CODE) and chance.random() < 0.2
    about = places(fork)
    to: bytes | None = chance.choice((TARGET, *CONTRACTS, RECURSIVE))
    if since(fork, "Prague") and chance.random() < 0.3:
        to = chance.choice((DELEGATED, DELEGATED, *AUTHORITIES))
    if chance.random() < 0.3:
        to = chance.choice(about).to_bytes(20, "big")
    if creates:
        to = None
    gas = chance.choice((60_000, 100_000, 200_000, 400_000, 1_000_000, 1_000_000))
    tx = _legacy(chance, alloc, sender, to, gas, chance.choice((7, 8, 1000)))
    tx["nonce"] = to_hex(min(int(tx["nonce"], 16) + used, 2**64 - 1))
    tx["value"] = to_hex(chance.choice((0, 0, 1, 10**18)))
    data = init_code(chance, fork, about) if creates else chance.randbytes(chance.choice((0, 4, 33, 68, 300)))
    if not creates and chance.random() < 0.2:
        data = bytes(len(data))
    tx["input"] = to_hex(data)
    tx["type"] = to_hex(kind)
    if kind == LEGACY:
        tx["protected"] = since(fork, "SpuriousDragon") and chance.random() < 0.5
        return tx
    tx["chainId"] = to_hex(CHAIN_ID)
    tx["accessList"] = _access_list(chance, about)
    if kind == ACCESS_LIST:
        return tx
    del tx["gasPrice"]
    tip = chance.choice((0, 1, 5, 100))
    tx["maxPriorityFeePerGas"] = to_hex(tip)
    tx["maxFeePerGas"] = to_hex(chance.choice((max(tip, 7), tip + 7, 1000)))
    if kind == BLOB:
        count = chance.randrange(1, 7)
        tx["blobVersionedHashes"] = [to_hex(b"\x01" + chance.randbytes(31)) for _ in range(count)]
        tx["maxFeePerBlobGas"] = to_hex(chance.choice((1, 10**6, 10**12)))
    if kind == SET_CODE:
        tx["authorizationList"] = [_authorization(chance, alloc) for _ in range(chance.choice((1, 1, 2, 4)))]
    return tx


def _access_list(chance: random.Random, about: tuple[int, ...]) -> list[dict[str, Any]]:
    return [
        {
            "address": to_hex(chance.choice(about).to_bytes(20, "big")),
            "storageKeys": [f"0x{chance.choice((0, 1, 2, 2**256 - 1)):064x}" for _ in range(chance.randrange(4))],
        }
        for _ in range(chance.choice((0, 0, 1, 3)))
    ]


def _authorization(chance: random.Random, alloc: dict[str, Any]) -> dict[str, Any]:
    """Signed by an authority, sometimes by a sender; sometimes one that does not hold."""
    index = chance.randrange(len(AUTHORITIES) + 1)
    key, authority = (KEYS[0], SENDERS[0]) if index == len(AUTHORITIES) else (AUTHORITY_KEYS[index], AUTHORITIES[index])
    held = alloc.get(to_hex(authority))
    nonce = int(held["nonce"], 16) if held else 0
    target = chance.choice(
        (*CONTRACTS, DESTROYER, ECHO, bytes(20), bytes(19) + b"\x01", ABSENT, authority, AUTHORITIES[1])
    )
    found = {
        "chainId": to_hex(chance.choice((0, CHAIN_ID, CHAIN_ID, 2))),
        "address": to_hex(target),
        "nonce": to_hex(chance.choice((nonce, nonce, nonce, min(nonce + 1, 2**64 - 1), 2**64 - 1))),
        "secretKey": to_hex(key),
    }
    if chance.random() < 0.1:
        del found["secretKey"]
        found |= {"yParity": to_hex(chance.choice((0, 1, 2, 255))), "r": to_hex(chance.getrandbits(256)), "s": "0x7"}
    return found


def spoil(chance: random.Random, fork: str, tx: dict[str, Any]) -> None:
    """Make a mistake in a transaction; most of them are reasons to refuse it."""
    mistakes = ["nonce", "nonce", "gas", "allowance", "funds", "initcode", "type", "s", "much", "floor"]
    if tx["type"] != "0x0":
        mistakes += ["tip", "fee"]  # the specification does not compare the chain of a typed transaction
    elif tx["protected"]:
        mistakes.append("chain")
    else:
        mistakes.append("protected")
    if tx["type"] == "0x3":
        mistakes += ["version", "blobs", "none", "blob fee"] * 2
    if tx["type"] == "0x4":
        mistakes += ["nobody"] * 2
    mistake = chance.choice(mistakes)
    if mistake == "nonce":
        tx["nonce"] = to_hex(chance.choice((min(int(tx["nonce"], 16) + 1, 2**64 - 1), 0, 2**64 - 1, 2**64 - 2)))
    elif mistake == "gas":
        tx["gas"] = to_hex(chance.choice((0, 20_999, 21_000, 21_100, 25_000, 53_000)))
    elif mistake == "allowance":
        tx["gas"] = to_hex(chance.choice((GAS_LIMIT, GAS_LIMIT + 1, 2**24, 2**24 + 1, 2**63)))
    elif mistake == "funds":
        tx["value"] = to_hex(chance.choice((10**21, 2**255)))
    elif mistake == "much":
        price = to_hex(chance.choice((10**15, 2**200)))
        tx["gasPrice" if "gasPrice" in tx else "maxFeePerGas"] = price
    elif mistake == "initcode":
        tx["input"] = to_hex(bytes(chance.choice((49_152, 49_153))))
        tx["gas"] = to_hex(1_500_000)
        if tx["type"] not in ("0x3", "0x4"):
            tx["to"] = None
    elif mistake == "type":
        tx.update(type=to_hex(chance.choice((1, 2))), chainId="0x1", gasPrice="0x9", maxFeePerGas="0x9", accessList=[])
    elif mistake == "floor":
        size = chance.choice((100, 1_000))
        tx["input"] = to_hex(bytes((1,)) * size)
        tx["gas"] = to_hex(chance.choice((21_000 + 16 * size + 5_000, 21_000 + 40 * size - 1, 21_000 + 40 * size)))
    elif mistake == "protected":
        tx["protected"] = True
    elif mistake == "s":
        tx["highS"] = True
    elif mistake == "chain":
        tx["chainId"] = "0x2"
    elif mistake == "tip":
        tx["maxPriorityFeePerGas"] = to_hex(10**6)
    elif mistake == "fee":
        tx["gasPrice" if "gasPrice" in tx else "maxFeePerGas"] = "0x6"
    elif mistake == "version":
        tx["blobVersionedHashes"][-1] = to_hex(b"\x02" + chance.randbytes(31))
    elif mistake == "blobs":
        tx["blobVersionedHashes"] = [to_hex(b"\x01" + bytes(31))] * chance.choice((6, 7, 9, 10, 15, 16, 22))
    elif mistake == "none":
        tx["blobVersionedHashes"] = []
    elif mistake == "blob fee":
        tx["maxFeePerBlobGas"] = "0x0"
    elif mistake == "nobody":
        tx["authorizationList"] = []
