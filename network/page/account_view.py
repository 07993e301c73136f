"""One account: balance, code, what its contract says of itself, its storage by variable, its last transactions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, Final

from network.accounts import Account, checksum_address
from network.client import NodeClient, RpcError
from network.cluster.run_directory import NetworkFile, RunDirectory
from network.page.decoding import Contract, Contracts, decoded, signature_of
from network.page.storage_layout import StorageReader
from network.page.transaction_view import brief, codes_of
from network.provision import funded_accounts
from node.crypto.hashes import keccak256
from node.primitives.hexadecimal import to_data

BLOCKS_SCANNED: Final = 64
BLOCKS_PER_CALL: Final = 8
TRANSACTIONS_SCANNED: Final = 4_000
TRANSACTIONS_MAX: Final = 25
GETTERS_MAX: Final = 16
KEYS_MAX: Final = 24
LOG_BLOCKS: Final = 512
LOG_BLOCKS_PER_CALL: Final = 16
LOGS_READ: Final = 500
FUNDED_MAX: Final = 10


def account_view(
    client: NodeClient, run: RunDirectory, network: NetworkFile, address: bytes, keys: Sequence[str]
) -> dict[str, Any]:
    """Everything about one address at the node's head. ``keys``: of mappings, to be tried too. Raises Failure."""
    name = to_data(address)
    head = client.block_number()
    tag = hex(head)
    balance, nonce, code = client.batch(
        [("eth_getBalance", [name, tag]), ("eth_getTransactionCount", [name, tag]), ("eth_getCode", [name, tag])]
    )
    contracts = Contracts.read(run)
    contract = contracts.of(name, code)
    code_bytes = bytes.fromhex(code[2:])
    delegated = code_bytes[3:] if code_bytes.startswith(b"\xef\x01\x00") and len(code_bytes) == 23 else b""
    funded = _funded(network)
    view: dict[str, Any] = {
        "address": checksum_address(address),
        "head": head,
        "labels": _labels(address, network, funded),
        "balance": str(int(balance, 16)),
        "nonce": int(nonce, 16),
        "code_bytes": len(code_bytes),
        "code_hash": to_data(keccak256(code_bytes)) if code_bytes else None,
        "delegates_to": checksum_address(delegated) if delegated else None,
        "contract": {"name": contract.name, "origin": contract.origin} if contract is not None else None,
        "functions": [signature_of(entry) for entry in contract.abi if entry.get("type") == "function"]
        if contract is not None
        else [],
        "getters": _getters(client, contract, name, tag) if contract is not None else [],
        "storage": None,
    }
    if contract is not None and contract.layout is not None:
        tried = [*keys, *_likely_keys(client, contracts, contract, name, head, [one.checksummed for one in funded])]
        view["storage"] = _storage(client, contract.layout, name, tag, tried)
    view["transactions"], view["scanned"] = _transactions(client, contracts, name, head)
    return view


@lru_cache(maxsize=4)
def _funded(network: NetworkFile) -> list[Account]:
    return funded_accounts(replace(network, accounts=min(network.accounts, FUNDED_MAX)))


def _labels(address: bytes, network: NetworkFile, funded: Sequence[Account]) -> list[str]:
    labels = [f"funded account {one.index}" for one in funded if one.address == address]
    text = to_data(address)
    voters = {
        (one or "").lower(): node.name for node in network.nodes for one in (node.validator, *node.more_validators)
    }
    return labels + ([f"validator of {voters[text]}"] if text in voters else [])


def _getters(client: NodeClient, contract: Contract, address: str, tag: str) -> list[dict[str, Any]]:
    """What functions say that take nothing and change nothing."""
    wanted = [
        entry
        for entry in contract.abi
        if entry.get("type") == "function"
        and entry.get("stateMutability") in ("view", "pure")
        and not entry.get("inputs")
        and entry.get("outputs")
    ][:GETTERS_MAX]
    calls = []
    for entry in wanted:
        selector = keccak256(signature_of(entry).encode())[:4]
        calls.append(("eth_call", [{"to": address, "data": to_data(selector), "gas": hex(1_000_000)}, tag]))
    told = []
    for entry, answer in zip(wanted, client.batch_outcomes(calls), strict=True):
        fields = decoded(entry["outputs"], bytes.fromhex(answer[2:])) if isinstance(answer, str) else None
        if fields:
            told.append({"name": str(entry["name"])[:128], "values": fields})
    return told


def _likely_keys(
    client: NodeClient,
    contracts: Contracts,
    contract: Contract,
    address: str,
    head: int,
    funded: Sequence[str],
) -> list[str]:
    """Addresses that mappings may be about: those that the contract's last events name, then the funded accounts."""
    found: dict[str, None] = {}
    read = 0
    for last in range(head, max(-1, head - LOG_BLOCKS), -LOG_BLOCKS_PER_CALL):
        query = {"address": address, "fromBlock": hex(max(0, last - LOG_BLOCKS_PER_CALL + 1)), "toBlock": hex(last)}
        try:
            logs = client.call("eth_getLogs", query)
        except RpcError:
            break
        read += len(logs)
        for log in reversed(logs[-LOGS_READ:]):
            event = contracts.event(contract, log["topics"], bytes.fromhex(log["data"][2:]))
            for argument in event["arguments"] if event is not None else ():
                if argument["type"] == "address":
                    found[argument["value"]] = None
            if len(found) >= KEYS_MAX:
                break
        if len(found) >= KEYS_MAX or read >= LOGS_READ:
            break
    return list(dict.fromkeys([*found, *funded]))[:KEYS_MAX]


def _storage(
    client: NodeClient, layout: Mapping[str, Any], address: str, tag: str, keys: Sequence[str]
) -> dict[str, Any]:
    def fetch(slots: Sequence[int]) -> list[int]:
        return [int(word, 16) for word in client.batch([("eth_getStorageAt", [address, hex(s), tag]) for s in slots])]

    reader = StorageReader(layout, fetch, keys)
    rows = reader.read()
    return {"rows": rows, "complete": reader.complete, "keys": len(keys)}


def _transactions(
    client: NodeClient, contracts: Contracts, address: str, head: int
) -> tuple[list[dict[str, Any]], int]:
    """Transactions from or to the address, newest first, and how many blocks were looked through."""
    found: list[tuple[Mapping[str, Any], Mapping[str, Any]]] = []
    scanned = seen = 0
    for last in range(head, max(-1, head - BLOCKS_SCANNED), -BLOCKS_PER_CALL):
        numbers = range(last, max(-1, last - BLOCKS_PER_CALL), -1)
        for block in client.batch([("eth_getBlockByNumber", [hex(number), True]) for number in numbers]):
            if not isinstance(block, dict):
                continue
            scanned += 1
            seen += len(block["transactions"])
            found += [
                (one, block) for one in reversed(block["transactions"]) if address in (one["from"], one.get("to"))
            ]
        if len(found) >= TRANSACTIONS_MAX or seen >= TRANSACTIONS_SCANNED:
            break
    found = found[:TRANSACTIONS_MAX]
    codes = codes_of(client, [one["to"] for one, _ in found if one.get("to")])
    receipts = client.batch([("eth_getTransactionReceipt", [one["hash"]]) for one, _ in found])
    return [
        {**brief(contracts, one, receipt, codes), "block": int(block["number"], 16)}
        for (one, block), receipt in zip(found, receipts, strict=True)
    ], scanned
