"""Allocations: fixture accounts to a state, a state diff back to accounts, and what differs between two of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

from network.vectors.fields import FieldError, address, data, mapping, number
from node.crypto.hashes import EMPTY_KECCAK, keccak256
from node.primitives.scalars import Address, Hash32
from node.state.diff import StateDiff
from node.state.genesis_state import GenesisAccount
from node.trie.nodes import NodeSource

Alloc = dict[Address, GenesisAccount]

DIFFERENCES_MAX: Final = 8
"""What one message lists; the rest is counted."""
CODE_BYTES_SHOWN: Final = 16


def reader(store: Mapping[Hash32, bytes]) -> NodeSource:
    """A store of trie nodes or codes as views and commits read it: any bytes may be asked for."""
    return cast("NodeSource", store.get)


def read_alloc(value: object, field: str) -> Alloc:
    """``pre``, ``alloc`` or ``postState`` of a file. Absent members are 0. Raises FieldError."""
    found: Alloc = {}
    for key, account in mapping(value, field).items():
        where = f"{field}.{key}"
        owner = address(key, where)
        if owner in found:
            raise FieldError(where, "the same address twice")
        found[owner] = read_account(account, where)
    return found


def read_account(value: object, field: str) -> GenesisAccount:
    """One account. Raises FieldError."""
    account = mapping(value, field)
    slots = account["storage"] if account.get("storage") is not None else {}
    return GenesisAccount(
        balance=number(account.get("balance", 0), f"{field}.balance"),
        nonce=number(account.get("nonce") or 0, f"{field}.nonce", 64),
        code=data(account.get("code") or "0x", f"{field}.code"),
        storage={
            number(slot, f"{field}.storage key"): number(content, f"{field}.storage.{slot}")
            for slot, content in mapping(slots, f"{field}.storage").items()
        },
    )


def alloc_after(before: Mapping[Address, GenesisAccount], diff: StateDiff) -> Alloc:
    """The accounts of ``before`` with the changes of ``diff``."""
    after = dict(before)
    codes = {keccak256(account.code): account.code for account in before.values() if account.code}
    codes.update(diff.codes)
    for owner, change in diff.accounts.items():
        if change is None:
            after.pop(owner, None)
            continue
        held = before.get(owner)
        slots = dict(held.storage) if held is not None and not change.storage_cleared else {}
        slots.update(change.slots)
        after[owner] = GenesisAccount(
            balance=change.balance,
            nonce=change.nonce,
            code=b"" if change.code_hash == EMPTY_KECCAK else codes[change.code_hash],
            storage={slot: content for slot, content in slots.items() if content},
        )
    return after


def alloc_json(alloc: Mapping[Address, GenesisAccount]) -> dict[str, Any]:
    """As geth writes an allocation: empty members left out, slots as 32 bytes, by address."""
    found: dict[str, Any] = {}
    for owner in sorted(alloc):
        account = alloc[owner]
        entry: dict[str, Any] = {}
        if account.code:
            entry["code"] = "0x" + account.code.hex()
        slots = {_word(slot): _word(content) for slot, content in sorted(account.storage.items()) if content}
        if slots:
            entry["storage"] = slots
        entry["balance"] = hex(account.balance)
        if account.nonce:
            entry["nonce"] = hex(account.nonce)
        found["0x" + owner.hex()] = entry
    return found


def _word(value: int) -> str:
    return f"0x{value:064x}"


def differences(ours: Mapping[Address, GenesisAccount], expected: Mapping[Address, GenesisAccount]) -> str:
    """Which account, balance, nonce, code or slot is not as expected; empty where all are."""
    found: list[str] = []
    for owner in sorted({**ours, **expected}):
        name = "0x" + owner.hex()
        have, want = ours.get(owner), expected.get(owner)
        if have is None:
            found.append(f"account {name} is missing")
        elif want is None:
            found.append(f"account {name} should not exist (balance {have.balance}, nonce {have.nonce})")
        else:
            found += [f"account {name} {text}" for text in _account_differences(have, want)]
    if len(found) > DIFFERENCES_MAX:
        found[DIFFERENCES_MAX:] = [f"{len(found) - DIFFERENCES_MAX} more"]
    return "; ".join(found)


def _account_differences(have: GenesisAccount, want: GenesisAccount) -> list[str]:
    found: list[str] = []
    if have.balance != want.balance:
        found.append(f"balance {have.balance}, expected {want.balance}")
    if have.nonce != want.nonce:
        found.append(f"nonce {have.nonce}, expected {want.nonce}")
    if have.code != want.code:
        found.append(f"code {_code(have.code)}, expected {_code(want.code)}")
    for slot in sorted({**have.storage, **want.storage}):
        ours, told = have.storage.get(slot, 0), want.storage.get(slot, 0)
        if ours != told:
            found.append(f"slot {slot:#x} is {ours:#x}, expected {told:#x}")
    return found


def _code(code: bytes) -> str:
    shown = code[:CODE_BYTES_SHOWN].hex() + ("…" if len(code) > CODE_BYTES_SHOWN else "")
    return f"0x{shown} ({len(code)} bytes)"
