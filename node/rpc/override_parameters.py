"""State and block overrides as clients send them with a call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from node.execution.overrides import BlockOverrides
from node.primitives.scalars import Address, Hash32
from node.rpc.errors import refused
from node.rpc.parameters import LIST_ITEMS_MAX, ParameterError, address, data, fields, hash32, quantity, quantity64
from node.state.overrides import AccountOverride

T = TypeVar("T")

ACCOUNTS_MAX: Final = 1_024
CODE_BYTES_MAX: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class StateOverrides:
    """Accounts to change, and where precompiles go: for every account an address or None."""

    accounts: Mapping[Address, AccountOverride]
    moves: Mapping[Address, Address | None]


NO_OVERRIDES: Final = StateOverrides({}, {})


def state_overrides(value: object) -> StateOverrides:
    """``{address: {balance, nonce, code, state, stateDiff, movePrecompileToAddress}}``. Raises ParameterError."""
    given = fields(value, "state overrides")
    if len(given) > ACCOUNTS_MAX:
        raise ParameterError(f"state overrides: {len(given)} accounts, at most {ACCOUNTS_MAX}")
    accounts: dict[Address, AccountOverride] = {}
    moves: dict[Address, Address | None] = {}
    for key, entry in given.items():
        name = _named(address, key, "state overrides")
        found = fields(entry, f"state override of {key}")
        if found.get("state") is not None and found.get("stateDiff") is not None:
            raise refused(f"account {key} has both 'state' and 'stateDiff'")
        accounts[name] = AccountOverride(
            balance=_optional(quantity, found, "balance"),
            nonce=_optional(quantity64, found, "nonce"),
            code=_optional(_code, found, "code"),
            state=_optional(_slots, found, "state"),
            state_diff=_optional(_slots, found, "stateDiff"),
        )
        # the standard's text writes it with a capital, every client with a small letter
        moves[name] = _either(address, found, "movePrecompileToAddress", "MovePrecompileToAddress")
    return StateOverrides(accounts, moves)


def block_overrides(value: object) -> BlockOverrides:
    """Fields by geth's names, and by those of the execution payload. Raises ParameterError."""
    given = fields(value, "block overrides")
    return read_block_overrides(given)


def read_block_overrides(given: Mapping[str, Any]) -> BlockOverrides:
    """As ``block_overrides``, from an object that may hold more."""
    return BlockOverrides(
        number=_either(quantity, given, "number", "blockNumber"),
        difficulty=_optional(quantity, given, "difficulty"),
        time=_either(quantity64, given, "time", "timestamp"),
        gas_limit=_optional(quantity64, given, "gasLimit"),
        fee_recipient=_either(address, given, "feeRecipient", "coinbase"),
        prev_randao=_either(hash32, given, "prevRandao", "random"),
        base_fee_per_gas=_either(quantity, given, "baseFeePerGas", "baseFee"),
        blob_base_fee=_optional(quantity, given, "blobBaseFee"),
    )


def _code(value: object) -> bytes:
    code = data(value)
    if len(code) > CODE_BYTES_MAX:
        raise ParameterError(f"{len(code)} bytes, at most {CODE_BYTES_MAX}")
    return code


def _slots(value: object) -> dict[int, int]:
    given = fields(value, "storage")
    if len(given) > LIST_ITEMS_MAX:
        raise ParameterError(f"{len(given)} slots, at most {LIST_ITEMS_MAX}")
    return {_word(slot): _word(content) for slot, content in given.items()}


def _word(value: object) -> int:
    word: Hash32 = hash32(value)
    return int.from_bytes(word, "big")


def _named(parser: Callable[[Any], T], value: object, name: str) -> T:
    try:
        return parser(value)
    except ParameterError as error:
        raise ParameterError(f"{name}: {error}") from None


def _optional(parser: Callable[[Any], T], given: Mapping[str, Any], name: str) -> T | None:
    value = given.get(name)
    return None if value is None else _named(parser, value, name)


def _either(parser: Callable[[Any], T], given: Mapping[str, Any], first: str, second: str) -> T | None:
    found = _optional(parser, given, first)
    return _optional(parser, given, second) if found is None else found
