"""Seeded mistakes in the EVM, each a change of a fork's rules: for those who want to see ``evmesh bisect`` find them.

    with_bug(genesis, "slt-unsigned") ─▶ the same genesis whose every fork compares wrongly

They come from outside: a fork is a value, and these make another one of it. Nothing in node/ knows of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from node.chain.genesis import Genesis
from node.crypto.hashes import keccak256
from node.evm.frame import Frame
from node.evm.instruction import Execute
from node.evm.opcodes import Opcode
from node.evm.spec import Spec
from node.primitives.scalars import U256_MAX, to_signed, to_unsigned
from node.types.receipts import Log

Change = Callable[[Spec], Spec]


@dataclass(frozen=True, slots=True)
class EvmBug:
    """A mistake with a name, what it is, and where it shows."""

    name: str
    what: str
    opcode: Opcode
    """The instruction at which two traces part."""
    change: Change


def _instead(opcode: Opcode, execute: Execute) -> Change:
    """Another function for an instruction, where the fork has it."""

    def change(spec: Spec) -> Spec:
        row = spec.instructions[opcode]
        if row is None:
            return spec
        return spec.evolve(instructions=spec.instructions.with_(replace(row, execute=execute)))

    return change


def _costs(opcode: Opcode, more: int) -> Change:
    def change(spec: Spec) -> Spec:
        row = spec.instructions[opcode]
        if row is None:
            return spec
        return spec.evolve(instructions=spec.instructions.with_(replace(row, base_gas=row.base_gas + more)))

    return change


def _prices(**prices: int) -> Change:
    return lambda spec: spec.evolve(gas=replace(spec.gas, **prices))


def _sload_stale(frame: Frame) -> None:
    slot = frame.stack[-1]
    prices = frame.prices
    frame.charge(prices.cold_slot if frame.host.access_slot(frame.address, slot) else prices.warm_access)
    frame.stack[-1] = frame.host.original_storage(frame.address, slot)


def _slt_unsigned(frame: Frame) -> None:
    a = frame.stack.pop()
    frame.stack[-1] = int(a < frame.stack[-1])


def _sdiv_rounds_down(frame: Frame) -> None:
    a, b = to_signed(frame.stack.pop()), to_signed(frame.stack[-1])
    frame.stack[-1] = to_unsigned(a // b) if b else 0


def _smod_sign_of_divisor(frame: Frame) -> None:
    a, b = to_signed(frame.stack.pop()), to_signed(frame.stack[-1])
    frame.stack[-1] = to_unsigned(a % b) if b else 0


def _sar_logical(frame: Frame) -> None:
    shift = frame.stack.pop()
    frame.stack[-1] = frame.stack[-1] >> shift if shift < 256 else 0


def _addmod_wraps(frame: Frame) -> None:
    total = (frame.stack.pop() + frame.stack.pop()) & U256_MAX
    modulus = frame.stack[-1]
    frame.stack[-1] = total % modulus if modulus else 0


def _byte_from_the_low_end(frame: Frame) -> None:
    position = frame.stack.pop()
    frame.stack[-1] = (frame.stack[-1] >> (8 * position)) & 0xFF if position < 32 else 0


def _keccak_one_byte_less(frame: Frame) -> None:
    offset, size = frame.stack.pop(), frame.stack[-1]
    frame.charge(frame.prices.keccak_word * ((size + 31) // 32))
    frame.expand(offset, size)
    frame.stack[-1] = int.from_bytes(keccak256(frame.read(offset, max(0, size - 1))), "big")


def _mstore8_high_byte(frame: Frame) -> None:
    offset, value = frame.stack.pop(), frame.stack.pop()
    frame.expand(offset, 1)
    frame.memory[offset] = value >> 248


def _log2_topics_swapped(frame: Frame) -> None:
    pop = frame.stack.pop
    offset, size, first, second = pop(), pop(), pop(), pop()
    frame.forbid_static()
    frame.charge(frame.prices.log_data_byte * size)
    frame.expand(offset, size)
    topics = (second.to_bytes(32, "big"), first.to_bytes(32, "big"))
    frame.host.emit_log(Log(frame.address, topics, frame.read(offset, size)))


def _callvalue_zero(frame: Frame) -> None:
    frame.stack.append(0)


def _iszero_of_one(frame: Frame) -> None:
    frame.stack[-1] = int(frame.stack[-1] <= 1)


def _sub_saturates(frame: Frame) -> None:
    a = frame.stack.pop()
    frame.stack[-1] = max(0, a - frame.stack[-1])


def _shr_off_by_one(frame: Frame) -> None:
    shift = frame.stack.pop() + 1
    frame.stack[-1] = frame.stack[-1] >> shift if shift < 256 else 0


def _price(name: str, what: str, opcode: Opcode, **prices: int) -> EvmBug:
    return EvmBug(name, what, opcode, _prices(**prices))


def _wrong(name: str, what: str, opcode: Opcode, execute: Execute) -> EvmBug:
    return EvmBug(name, what, opcode, _instead(opcode, execute))


_ALL: Final = (
    _price("sstore-gas-off-by-one", "a new slot costs one gas more", Opcode.SSTORE, sstore_set=20_001),
    _price("refund-skipped", "clearing a slot gives nothing back", Opcode.SSTORE, sstore_clear_refund=0),
    _price("warm-slots-are-cold", "a warm access costs what a cold slot does", Opcode.SLOAD, warm_access=2_100),
    _price("memory-too-dear", "a word of memory costs four gas", Opcode.MSTORE, memory_word=4),
    EvmBug("keccak-gas", "hashing costs one gas more", Opcode.KECCAK256, _costs(Opcode.KECCAK256, 1)),
    _wrong("sload-stale", "SLOAD gives the value from before the transaction", Opcode.SLOAD, _sload_stale),
    _wrong("slt-unsigned", "SLT forgets the sign", Opcode.SLT, _slt_unsigned),
    _wrong("sdiv-rounds-down", "SDIV rounds to minus infinity", Opcode.SDIV, _sdiv_rounds_down),
    _wrong("smod-sign-of-divisor", "SMOD has the divisor's sign", Opcode.SMOD, _smod_sign_of_divisor),
    _wrong("sar-logical", "SAR fills with zeros", Opcode.SAR, _sar_logical),
    _wrong("shr-off-by-one", "SHR shifts one bit too far", Opcode.SHR, _shr_off_by_one),
    _wrong("sub-saturates", "SUB stops at zero", Opcode.SUB, _sub_saturates),
    _wrong("addmod-wraps", "ADDMOD loses the carry", Opcode.ADDMOD, _addmod_wraps),
    _wrong("byte-from-the-low-end", "BYTE counts from the wrong end", Opcode.BYTE, _byte_from_the_low_end),
    _wrong("keccak-one-byte-less", "the last byte is not hashed", Opcode.KECCAK256, _keccak_one_byte_less),
    _wrong("mstore8-high-byte", "MSTORE8 writes the wrong byte", Opcode.MSTORE8, _mstore8_high_byte),
    _wrong("log2-topics-swapped", "LOG2 swaps its topics", Opcode.LOG2, _log2_topics_swapped),
    _wrong("callvalue-zero", "CALLVALUE is always 0", Opcode.CALLVALUE, _callvalue_zero),
    _wrong("iszero-of-one", "ISZERO takes 1 for 0", Opcode.ISZERO, _iszero_of_one),
)
EVM_BUGS: Final[Mapping[str, EvmBug]] = {bug.name: bug for bug in _ALL}


def with_bug(genesis: Genesis, name: str) -> Genesis:
    """The genesis under rules with the bug. Raises KeyError for a name that none has."""
    return replace(genesis, schedule=genesis.schedule.with_rules(EVM_BUGS[name].change))
