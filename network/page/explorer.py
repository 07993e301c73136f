"""The explorer's questions: each is put to one node and answered in JSON, bounded, decoded where something is known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from network.accounts import checksum_address, parse_address
from network.client import NodeClient, RpcError, ask_all
from network.cluster.observer import clients_of, paused_nodes
from network.cluster.run_directory import RunDirectory
from network.failures import BadInput, Failure
from network.load.contracts import parse_artifact
from network.page.account_view import account_view
from network.page.decoding import Contracts, printable, signature_of
from network.page.transaction_view import brief, codes_of, transaction_view

TIMEOUT_SECONDS: Final = 10.0
LIST_MAX: Final = 50
TRANSACTIONS_MAX: Final = 200
"""Of a block, so many are listed."""
TAGS: Final = ("latest", "safe", "finalized", "earliest")


class NotThere(Failure):
    """No node that was asked knows what was asked for."""


class Explorer:
    """One network's explorer. May be asked from several threads."""

    def __init__(self, run: RunDirectory) -> None:
        self._run = run
        self._network = run.network()
        self._clients = {client.name: client for client in clients_of(self._network, TIMEOUT_SECONDS)}

    def close(self) -> None:
        """Close the connections."""
        for client in self._clients.values():
            client.close()

    def answer(self, what: str, which: str, asked: Mapping[str, str]) -> dict[str, Any]:
        """One question. ``asked``: its query. Raises BadInput, NotThere, Failure."""
        if what == "search":
            return self._search(which)
        client = self._client(asked.get("node"))
        found: dict[str, Any] | None
        match what:
            case "blocks":
                found = self._blocks(client, asked)
            case "block":
                found = self._block(client, which)
            case "tx":
                found = transaction_view(client, Contracts.read(self._run), _hash(which))
            case "address":
                keys = [key for key in asked.get("keys", "").split(",") if key][:16]
                found = account_view(client, self._run, self._network, bytes(_address(which)), keys)
            case _:
                raise NotThere(f"the explorer has no {printable(what, 40)!r}")
        if found is None:
            raise NotThere(f"{client.name} does not have {what} {printable(which, 80)}", "another node may have it")
        return {"node": client.name, "nodes": list(self._clients), **found}

    def attach(self, wanted: Mapping[str, Any]) -> dict[str, Any]:
        """Remember an artifact for an address, as ``evmesh deploy`` does. Raises BadInput."""
        address = wanted.get("address")
        if not isinstance(address, str):
            raise BadInput("address: expected an address")
        checked = checksum_address(bytes(_address(address)))
        artifact = parse_artifact(wanted.get("artifact"), "contract")
        try:
            for entry in artifact.abi:
                signature_of(entry)
        except (KeyError, TypeError, AttributeError, RecursionError):
            raise BadInput("its abi is not one that a compiler writes") from None
        name = printable(artifact.name, 64)
        if not name.isidentifier():
            raise BadInput(f"{name!r} is not usable as a contract name")
        others = self._run.contracts()
        if name in others and str(others[name].get("address", "")).lower() != checked.lower():
            name = f"{name}_{checked[2:8]}"  # the name stays with the contract that has it
        self._run.add_contract(name, checked, artifact.abi, artifact.layout)
        return {"name": name, "address": checked, "layout": artifact.layout is not None}

    # ---- which node

    def _client(self, name: str | None) -> NodeClient:
        if name:
            if name not in self._clients:
                raise BadInput(f"there is no node {printable(name, 40)!r}", f"the nodes are {', '.join(self._clients)}")
            return self._clients[name]
        records = self._run.running()
        paused = paused_nodes(self._run, records)
        for client_name, client in self._clients.items():
            if client_name in records and client_name not in paused:
                return client
        raise Failure("no node runs that could answer", "evmesh restart NODE starts one")

    # ---- blocks

    def _blocks(self, client: NodeClient, asked: Mapping[str, str]) -> dict[str, Any]:
        head = client.block_number()
        before = _number(asked.get("before"), head + 1, "before")
        last = min(head, before - 1)
        first = max(0, last - min(_number(asked.get("count"), 25, "count"), LIST_MAX) + 1)
        wanted = range(last, first - 1, -1) if last >= 0 else range(0)
        told = client.batch([("eth_getBlockByNumber", [hex(number), False]) for number in wanted])
        final = client.block_number("finalized")
        blocks = [_row(block, final) for block in told if isinstance(block, dict)]
        return {"head": head, "finalized": final, "first": first, "blocks": blocks}

    def _block(self, client: NodeClient, which: str) -> dict[str, Any] | None:
        if which in TAGS:
            block = client.call("eth_getBlockByNumber", which, True)
        elif which.startswith("0x"):
            block = client.call("eth_getBlockByHash", _hash(which), True)
        else:
            block = client.call("eth_getBlockByNumber", hex(_number(which, 0, "block")), True)
        if not isinstance(block, dict):
            return None
        number = int(block["number"], 16)
        try:
            receipts = client.call("eth_getBlockReceipts", block["hash"]) or []
        except RpcError:
            receipts = []  # of a branch that lost there may be none
        final, head = client.block_number("finalized"), client.block_number()
        contracts = Contracts.read(self._run)
        by_hash = {receipt["transactionHash"]: receipt for receipt in receipts}
        transactions = block["transactions"]
        listed = transactions[:TRANSACTIONS_MAX]
        codes = codes_of(client, [one["to"] for one in listed if one.get("to")])
        return {
            "block": {key: value for key, value in block.items() if key not in ("transactions", "withdrawals")},
            "row": _row(block, final),
            "head": head,
            "held_by": self._held_by(number, str(block["hash"])),
            "withdrawals": len(block.get("withdrawals") or ()),
            "transactions": [brief(contracts, one, by_hash.get(one["hash"]), codes) for one in listed],
            "left_out": max(0, len(transactions) - TRANSACTIONS_MAX),
        }

    def _held_by(self, number: int, block_hash: str) -> dict[str, str]:
        """What each running node has at the height: this block, another, or none."""
        records = self._run.running()
        paused = paused_nodes(self._run, records)
        asked = [client for name, client in self._clients.items() if name in records and name not in paused]
        held = {}
        for client, answer in zip(asked, ask_all(asked, lambda one: one.block(number)), strict=True):
            held[client.name] = (
                "none" if not isinstance(answer, dict) else ("this" if answer["hash"] == block_hash else "another")
            )
        return held

    # ---- search

    def _search(self, text: str) -> dict[str, Any]:
        """Where a text leads: a route of the page."""
        wanted = text.strip()[:80]
        client = self._client(None)
        if wanted.lower() in TAGS:
            return {"route": f"#/block/{client.block_number(wanted.lower())}"}
        digits = wanted.removeprefix("#").replace(",", "").replace("_", "")
        if digits.isascii() and digits.isdigit():
            number = int(digits)
            if number > client.block_number():
                raise NotThere(f"there is no block #{number} yet", f"the head is #{client.block_number()}")
            return {"route": f"#/block/{number}"}
        if len(wanted) == 42 and wanted.startswith("0x"):
            return {"route": f"#/address/{checksum_address(bytes(_address(wanted)))}"}
        if len(wanted) == 66 and wanted.startswith("0x"):
            return {"route": self._by_hash(_hash(wanted))}
        for name, entry in self._run.contracts().items():
            if name.lower() == wanted.lower():
                return {"route": f"#/address/{entry['address']}"}
        raise NotThere(
            f"nothing is called {printable(wanted, 80)!r}",
            "a block's number or hash, a transaction's hash, an address, or the name of a deployed contract",
        )

    def _by_hash(self, wanted: str) -> str:
        calls: list[tuple[str, list[Any]]] = [
            ("eth_getTransactionByHash", [wanted]),
            ("eth_getBlockByHash", [wanted, False]),
        ]
        for client in self._clients.values():
            try:
                transaction, block = client.batch(calls)
            except Failure:
                continue  # the next node may answer
            if transaction is not None:
                return f"#/tx/{wanted}"
            if block is not None:
                return f"#/block/{wanted}"
        raise NotThere("no node knows a transaction or a block of this hash")


def _row(block: Mapping[str, Any], finalized: int) -> dict[str, Any]:
    number = int(block["number"], 16)
    return {
        "number": number,
        "hash": block["hash"],
        "timestamp": int(block["timestamp"], 16),
        "transactions": len(block["transactions"]),
        "gas_used": int(block["gasUsed"], 16),
        "gas_limit": int(block["gasLimit"], 16),
        "miner": block["miner"],
        "base_fee": str(int(block.get("baseFeePerGas", "0x0"), 16)),
        "final": number <= finalized,
    }


def _hash(text: str) -> str:
    digits = text.removeprefix("0x").lower()
    if len(digits) != 64 or any(digit not in "0123456789abcdef" for digit in digits):
        raise BadInput(f"{printable(text, 80)!r} is no hash", "it has 64 hex digits after 0x")
    return "0x" + digits


def _address(text: str) -> bytes:
    return parse_address(text[:80])


def _number(text: str | None, default: int, name: str) -> int:
    if text is None or text == "":
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise BadInput(f"{name}: {printable(text, 40)!r} is no number")
    return int(text)
