"""Gas that depends on operands and state, as pure arithmetic and two small questions to the host."""

from __future__ import annotations

from node.evm.frame import Frame
from node.primitives.scalars import Address


def words(size: int) -> int:
    """32-byte words that hold ``size`` bytes."""
    return (size + 31) >> 5


def byte_length(value: int) -> int:
    """Bytes of the number without leading zeros."""
    return (value.bit_length() + 7) >> 3


def all_but_one_64th(gas: int) -> int:
    """The most that a frame may hand to a child (EIP-150)."""
    return gas - gas // 64


def account_access(frame: Frame, address: Address) -> int:
    """The price of touching an account, which is warm from now on (EIP-2929)."""
    prices = frame.prices
    return prices.cold_account if frame.host.access_address(address) else prices.warm_access


def gross_slot_write(frame: Frame, current: int, new: int) -> tuple[int, int]:
    """The price of SSTORE and its refund, looking at nothing but the values before and after (Yellow Paper, G)."""
    prices = frame.prices
    if current == 0 and new != 0:
        return prices.sstore_set, 0
    return prices.sstore_reset, prices.sstore_clear_refund if current != 0 and new == 0 else 0


def creates_account(frame: Frame, recipient: Address, value: int) -> bool:
    """Whether sending ``value`` to ``recipient`` pays for a new account (EIP-161; before, be the value 0)."""
    if frame.spec.new_account_needs_value:
        return value != 0 and not frame.host.is_alive(recipient)
    return not frame.host.account_exists(recipient)


def slot_write(frame: Frame, original: int, current: int, new: int) -> tuple[int, int]:
    """The price of SSTORE on a warm slot and the change of the refund counter (EIP-1283, 2200, 2929, 3529).

    ``original`` is the value at the start of the transaction, ``current`` the value now.
    """
    prices = frame.prices
    if current == new:
        return prices.sstore_noop, 0
    refund = 0
    if original == current:
        if original == 0:
            return prices.sstore_set, 0
        return prices.sstore_reset, prices.sstore_clear_refund if new == 0 else 0
    # dirty slot: the work was paid before, only the refund is set right
    if original != 0:
        if current == 0:
            refund -= prices.sstore_clear_refund
        elif new == 0:
            refund += prices.sstore_clear_refund
    if original == new:
        undone = prices.sstore_set if original == 0 else prices.sstore_reset
        refund += undone - prices.sstore_noop
    return prices.sstore_noop, refund
