"""One transaction with everything that happened in it: its call decoded, its logs, and the tree of calls."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from network.accounts import checksum_address
from network.client import NodeClient, RpcError
from network.page.decoding import Contract, Contracts, printable

LOGS_MAX: Final = 200
FRAMES_MAX: Final = 400
DATA_BYTES_MAX: Final = 8_192
"""Of raw data, so much is shown."""


def brief(
    contracts: Contracts,
    transaction: Mapping[str, Any],
    receipt: Mapping[str, Any] | None,
    codes: Mapping[str, str],
) -> dict[str, Any]:
    """One line of a list. ``codes``: of the addresses that it is about (``codes_of``)."""
    to = transaction.get("to")
    data = _bytes(transaction.get("input"))
    created = receipt.get("contractAddress") if receipt is not None else None
    return {
        "hash": transaction["hash"],
        "from": checksum(transaction["from"]),
        "to": checksum(to),
        "to_name": contracts.name_of(to or created, codes.get(str(to or created), "")),
        "created": checksum(created),
        "call": _label(contracts, contracts.of(to, codes.get(str(to), "")), data)
        if to is not None
        else "creates a contract",
        "value": str(int(transaction["value"], 16)),
        "gas_used": int(receipt["gasUsed"], 16) if receipt is not None else None,
        "ok": None if receipt is None else receipt.get("status") != "0x0",
    }


def _label(contracts: Contracts, contract: Contract | None, data: bytes) -> str:
    if not data:
        return ""
    call = contracts.call(contract, data)
    return str(call["name"]) if call is not None else "0x" + data[:4].hex()


def transaction_view(client: NodeClient, contracts: Contracts, transaction_hash: str) -> dict[str, Any] | None:
    """Everything about one transaction; None where the node does not know it. Raises Failure."""
    transaction, receipt, final = client.batch(
        [
            ("eth_getTransactionByHash", [transaction_hash]),
            ("eth_getTransactionReceipt", [transaction_hash]),
            ("eth_getBlockByNumber", ["finalized", False]),
        ]
    )
    if not isinstance(transaction, dict):
        return None
    to = transaction.get("to")
    created = receipt.get("contractAddress") if isinstance(receipt, dict) else None
    codes = codes_of(client, [one for one in (to, created) if one])
    contract = contracts.of(to, codes.get(to or "", ""))
    data = _bytes(transaction.get("input"))
    view: dict[str, Any] = {
        "brief": brief(contracts, transaction, receipt, codes),
        "transaction": {key: value for key, value in transaction.items() if key not in ("input", "accessList")},
        "access_list": len(transaction.get("accessList") or ()),
        "to_contract": _contract(contract),
        "call": contracts.call(contract, data) if to else None,
        "input": _shown(data),
        "receipt": None,
        "logs": [],
        "calls": None,
    }
    if not isinstance(receipt, dict):
        return view
    number = int(receipt["blockNumber"], 16)
    view["receipt"] = {key: value for key, value in receipt.items() if key not in ("logs", "logsBloom")}
    view["final"] = isinstance(final, dict) and number <= int(final["number"], 16)
    logs = receipt.get("logs") or []
    view["logs"] = _logs(client, contracts, logs[:LOGS_MAX])
    view["logs_left_out"] = max(0, len(logs) - LOGS_MAX)
    try:
        trace = client.call("debug_traceTransaction", transaction_hash, {"tracer": "callTracer"})
    except RpcError as error:
        view["calls_problem"] = printable(error.message, 256)
    else:
        view["calls"], view["calls_left_out"] = _tree(client, contracts, trace)
    return view


def _logs(client: NodeClient, contracts: Contracts, logs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    codes = codes_of(client, [log["address"] for log in logs])
    told = []
    for log in logs:
        contract = contracts.of(log["address"], codes.get(log["address"], ""))
        data = _bytes(log.get("data"))
        told.append(
            {
                "address": checksum(log["address"]),
                "contract": contract.name if contract is not None else None,
                "event": contracts.event(contract, log["topics"], data),
                "topics": log["topics"],
                "data": _shown(data),
            }
        )
    return told


def _tree(client: NodeClient, contracts: Contracts, trace: Mapping[str, Any]) -> tuple[list[dict[str, Any]], int]:
    """The call tree as a list in order of calling, each with its depth; and how many calls are left out."""
    frames: list[tuple[int, Mapping[str, Any]]] = []
    left_out = 0
    todo: list[tuple[int, Mapping[str, Any]]] = [(0, trace)]
    while todo:
        depth, frame = todo.pop()
        if len(frames) >= FRAMES_MAX:
            left_out += 1
        else:
            frames.append((depth, frame))
        todo += [(depth + 1, inner) for inner in reversed(frame.get("calls") or ())]
    codes = codes_of(client, [str(frame["to"]) for _, frame in frames if frame.get("to")])
    return [_frame(contracts, codes, depth, frame) for depth, frame in frames], left_out


def _frame(contracts: Contracts, codes: Mapping[str, str], depth: int, frame: Mapping[str, Any]) -> dict[str, Any]:
    to = frame.get("to")
    contract = contracts.of(to, codes.get(str(to), ""))
    kind = str(frame.get("type", ""))
    creates = kind.startswith("CREATE")
    data, output = _bytes(frame.get("input")), _bytes(frame.get("output"))
    failed = frame.get("error")
    reason = None
    if failed is not None:
        reason = contracts.revert(contract, output) if output else printable(str(failed), 256)
    return {
        "depth": depth,
        "kind": kind,
        "from": checksum(frame.get("from")),
        "to": checksum(to),
        "contract": contract.name if contract is not None else None,
        "value": str(int(frame.get("value") or "0x0", 16)),
        "gas_used": int(frame.get("gasUsed") or "0x0", 16),
        "call": None if creates else contracts.call(contract, data, None if failed is not None else output),
        "input": _shown(data, 256),
        "output": _shown(output, 256),
        "error": printable(str(failed), 256) if failed is not None else None,
        "reason": reason,
    }


def codes_of(client: NodeClient, addresses: Iterable[str]) -> dict[str, str]:
    """Code of each address, to know bundled contracts by."""
    wanted = list(dict.fromkeys(addresses))[:64]
    answers = client.batch_outcomes([("eth_getCode", [address, "latest"]) for address in wanted])
    return {address: code for address, code in zip(wanted, answers, strict=True) if isinstance(code, str)}


def _contract(contract: Contract | None) -> dict[str, str] | None:
    return {"name": contract.name, "origin": contract.origin} if contract is not None else None


def _bytes(text: Any) -> bytes:
    return bytes.fromhex(text.removeprefix("0x")) if isinstance(text, str) else b""


def _shown(data: bytes, most: int = DATA_BYTES_MAX) -> dict[str, Any]:
    return {"hex": "0x" + data[:most].hex(), "bytes": len(data)}


def checksum(address: Any) -> str | None:
    """An address with its checksum; None for none."""
    return checksum_address(bytes.fromhex(address[2:])) if isinstance(address, str) and len(address) == 42 else None
