"""What a case and an answer look like: plain JSON, so that any case can be kept as a seed.

A case of transactions (kinds ``program`` and ``transaction``)::

    {"kind", "fork", "alloc", "env", "txs"}

with the members as the ``t8n`` tool takes them; hashes of earlier blocks are keccak256 of the decimal number.
A case of blocks (kind ``block``)::

    {"kind", "fork", "alloc", "genesis": {...}, "blocks": [{"attributes", "txs", "ommers", "withdrawals", "tamper"}]}

and ``next``, ``begins`` where another fork begins at that block number.

An answer is JSON, too; two answers to one case are the same or there is a difference.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from node.crypto.hashes import keccak256

FORKS = (
    "Frontier",
    "Homestead",
    "TangerineWhistle",
    "SpuriousDragon",
    "Byzantium",
    "Petersburg",
    "Istanbul",
    "MuirGlacier",
    "Berlin",
    "London",
    "ArrowGlacier",
    "GrayGlacier",
    "Paris",
    "Shanghai",
    "Cancun",
    "Prague",
    "Osaka",
    "BPO1",
    "BPO2",
)
"""By age. Constantinople, which no chain ever had for long, is in no oracle."""

KINDS = ("program", "transaction", "block")
ROW = "row"
"""A case of kind ``transaction`` with many of them; only where it is asked for."""
CHAIN_ID = 1

Case = dict[str, Any]
Answer = dict[str, Any]
Ask = Callable[[Case], Answer]


def age(fork: str) -> int:
    """The fork's place in ``FORKS``."""
    return FORKS.index(fork)


def since(fork: str, first: str) -> bool:
    """Whether ``fork`` is ``first`` or younger."""
    return age(fork) >= age(first)


def earlier_hash(number: int) -> bytes:
    """The hash of a block before the one that a case's transactions are in."""
    return bytes(keccak256(str(number).encode()))


def from_hex(text: str) -> bytes:
    """Bytes of 0x hex."""
    return bytes.fromhex(text[2:])


def to_hex(value: bytes | int) -> str:
    """0x hex of bytes, or of a number."""
    return hex(value) if isinstance(value, int) else "0x" + bytes(value).hex()


def account_json(balance: int = 0, nonce: int = 0, code: bytes = b"", storage: dict[int, int] | None = None) -> Any:
    """One account of an allocation."""
    slots = {f"0x{slot:064x}": f"0x{value:064x}" for slot, value in sorted((storage or {}).items()) if value}
    return {"balance": to_hex(balance), "nonce": to_hex(nonce), "code": to_hex(code), "storage": slots}


def differences(ours: Any, theirs: Any, path: str = "") -> list[str]:
    """Where two answers differ: ``path: ours, theirs``."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        found: list[str] = []
        for key in sorted({*ours, *theirs}):
            found += differences(ours.get(key), theirs.get(key), f"{path}.{key}" if path else key)
        return found
    if isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        return [
            line
            for index, pair in enumerate(zip(ours, theirs, strict=True))
            for line in differences(*pair, f"{path}[{index}]")
        ]
    return [] if ours == theirs else [f"{path}: ours {_short(ours)}, theirs {_short(theirs)}"]


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 160 else text[:160] + "…"
