"""SLOAD, SSTORE, TLOAD, TSTORE: what outlives the frame."""

from __future__ import annotations

from node.evm.frame import Frame
from node.evm.gas import gross_slot_write, slot_write
from node.evm.outcome import FrameHalted, HaltReason


def sload(frame: Frame) -> None:
    """A slot of the running account."""
    stack = frame.stack
    slot = stack[-1]
    host = frame.host
    prices = frame.prices
    frame.charge(prices.cold_slot if host.access_slot(frame.address, slot) else prices.warm_access)
    stack[-1] = host.storage(frame.address, slot)


def sstore(frame: Frame) -> None:
    """Write a slot; net metering against the values now and at the start of the transaction (EIP-2200)."""
    # stack
    stack = frame.stack
    slot = stack.pop()
    value = stack.pop()
    # gas
    frame.forbid_static()
    prices = frame.prices
    if frame.gas <= prices.sstore_stipend_guard:
        raise FrameHalted(HaltReason.OUT_OF_GAS, "SSTORE on no more than a call stipend")
    host = frame.host
    address = frame.address
    cold = prices.cold_slot if host.access_slot(address, slot) else 0
    current = host.storage(address, slot)
    price, refund = slot_write(frame, host.original_storage(address, slot), current, value)
    frame.charge(cold + price)
    # operation
    if refund:
        host.add_refund(refund)
    if value != current:
        host.set_storage(address, slot, value)


def sstore_gross(frame: Frame) -> None:
    """Write a slot; every write is paid in full (before EIP-1283, and between EIP-1716 and EIP-2200)."""
    # stack
    stack = frame.stack
    slot = stack.pop()
    value = stack.pop()
    # gas
    frame.forbid_static()
    host = frame.host
    address = frame.address
    current = host.storage(address, slot)
    price, refund = gross_slot_write(frame, current, value)
    frame.charge(price)
    # operation
    if refund:
        host.add_refund(refund)
    if value != current:
        host.set_storage(address, slot, value)


def tload(frame: Frame) -> None:
    """A transient slot: forgotten at the end of the transaction (EIP-1153)."""
    stack = frame.stack
    stack[-1] = frame.host.transient_storage(frame.address, stack[-1])


def tstore(frame: Frame) -> None:
    """Write a transient slot (EIP-1153)."""
    stack = frame.stack
    slot = stack.pop()
    value = stack.pop()
    frame.forbid_static()
    frame.host.set_transient_storage(frame.address, slot, value)
