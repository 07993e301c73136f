"""Transactions in a row on native tables: Python is asked once for an account or slot, and hears of changes at the end.

open_block ─▶ nonce, balance, code, run_transaction … ─▶ settle (one list of changes) or abandon
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable
from typing import Any, Final

from node.evm.host import Host
from node.evm.machine import BlockTables, TransactionRun
from node.evm.message import BlockEnvironment
from node.evm.native.arena import put
from node.evm.native.bridge import Bridge, address_of
from node.evm.native.compiler.types import layout
from node.evm.native.endings import outcome_of
from node.evm.native.runtime import records
from node.evm.native.runtime.records import Frame, Order
from node.evm.spec import Spec
from node.primitives.scalars import Address
from node.types.transactions import BLOB, SET_CODE, UNSIGNED, AccessListEntry, Transaction

SHORT_GAS: Final = 500_000
"""Gas that runs without letting other threads in: to let them in and get back costs more than such a run."""
MUCH_GAS: Final = 5_000_000
"""What used more may have touched much memory."""
TABLE_GAS: Final = 2**24
"""A larger transaction could fill the journal, which must not happen where earlier transactions' changes lie."""
_NOT_HERE: Final = (BLOB, SET_CODE, UNSIGNED)
_ORDER: Final = struct.Struct("<20s12x20s12x32s32s32s32sqqqQQQQQQ")
_ENDED: Final = struct.Struct("<QqqqQQQ")
_ENDED_AT: Final = layout(Order)["status"].offset
assert _ORDER.size == _ENDED_AT, "what _ORDER packs"
assert list(layout(Order))[-7:] == [
    "status",
    "gas_used",
    "gas_used_before_refund",
    "gas_left",
    "output",
    "output_size",
    "logs_length",
], "what _ENDED reads"

Entry = Callable[[int, int, int, bytes], None]


class NativeTables(BlockTables):
    """One arena, borrowed for a block."""

    def __init__(
        self,
        bridge: Bridge,
        entries: tuple[Any, Any],
        host: Host,
        block: BlockEnvironment,
        spec: Spec,
        give_back: Callable[[Bridge, Spec], None],
    ) -> None:
        """``entries``: ``run_transaction`` with and without Python's lock."""
        self._bridge = bridge
        self._short: Entry = entries[0]
        self._long: Entry = entries[1]
        self._host = host
        self._spec = spec
        self._base_fee = block.base_fee_per_gas
        self._give_back = give_back
        arena = bridge.arena
        self._order = arena.order.view
        self._run_at = arena.run.address
        self._frame_at = arena.frames.address
        self._order_at = arena.order.address
        put(arena.frames, Frame, "stack", arena.stacks.address)
        put(arena.frames, Frame, "memory", arena.memory.address)

    def nonce(self, address: Address) -> int:
        """As the transactions so far left it."""
        number = self._bridge.numbers.get(address)
        return self._host.nonce(address) if number is None else self._bridge.state_of(number).nonce

    def balance(self, address: Address) -> int:
        """Wei, as the transactions so far left them."""
        number = self._bridge.numbers.get(address)
        if number is None:
            return self._host.balance(address)
        return int.from_bytes(self._bridge.state_of(number).balance, "little")

    def code(self, address: Address) -> bytes:
        """As the transactions so far left it."""
        number = self._bridge.numbers.get(address)
        if number is None:
            return self._host.code(address)
        state = self._bridge.state_of(number)
        if state.flags & records.CODE_LOADED:
            return ctypes.string_at(state.code, state.code_size) if state.code_size else b""
        return self._host.code(address)

    def run_transaction(
        self, tx: Transaction, sender: Address, price: int, gas: int, floor: int
    ) -> TransactionRun | None:
        """Apply a valid transaction; None for what only the host can do, as if it had never been asked."""
        target = tx.to
        gas_limit = tx.gas_limit
        spec = self._spec
        if target is None or tx.type in _NOT_HERE or gas_limit > TABLE_GAS or target in spec.precompiles:
            return None
        data = tx.data
        named = b""
        if tx.access_list:
            named = _as_words(tx.access_list)
        bridge = self._bridge
        try:
            _ORDER.pack_into(
                self._order,
                0,
                sender[::-1],
                target[::-1],
                tx.value.to_bytes(32, "little"),
                (gas_limit * price).to_bytes(32, "little"),
                price.to_bytes(32, "little"),
                max(0, price - self._base_fee).to_bytes(32, "little"),
                gas_limit,
                gas,
                floor,
                spec.gas.refund_quotient,
                spec.warm_coinbase,
                spec.removes_empty,
                address_of(named) if named else 0,
                len(named),
                len(data),
            )
            bridge.surround(sender, price)
        except OverflowError:
            return None
        run = self._short if gas_limit <= SHORT_GAS else self._long
        run(self._run_at, self._frame_at, self._order_at, data)
        if bridge.interrupt is not None:
            raise bridge.interrupt
        status, gas_used, before_refund, gas_left, output, size, logs = _ENDED.unpack_from(self._order, _ENDED_AT)
        if status == records.GIVEN_UP:
            return None
        outcome = outcome_of(bridge, status, gas_left, output, size, spec)
        ran = TransactionRun(outcome, gas_used, before_refund, tuple(bridge.logs(logs)) if logs else ())
        if gas_used > MUCH_GAS:
            bridge.arena.shrink_transaction()
        return ran

    def settle(self) -> None:
        """Write all changes to the host and give the tables back."""
        self._bridge.settle()
        self.abandon()

    def abandon(self) -> None:
        """Give the tables back."""
        arena = self._bridge.arena
        arena.end(arena.counters())
        self._give_back(self._bridge, self._spec)


def _as_words(access_list: tuple[AccessListEntry, ...]) -> bytes:
    """As compiled code reads it: address, number of slots, slots."""
    words = []
    for address, slots in access_list:
        words += [int.from_bytes(address, "big"), len(slots), *slots]
    return b"".join([word.to_bytes(32, "little") for word in words])
