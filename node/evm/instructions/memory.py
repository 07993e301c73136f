"""MLOAD, MSTORE, MSTORE8, MSIZE, MCOPY, KECCAK256: the frame's own memory."""

from __future__ import annotations

from node.crypto.hashes import keccak256
from node.evm.frame import Frame
from node.evm.gas import words


def mload(frame: Frame) -> None:
    """The word at an offset."""
    stack = frame.stack
    offset = stack[-1]
    end = offset + 32
    if end > len(frame.memory):
        frame.expand(offset, 32)
    stack[-1] = int.from_bytes(frame.memory[offset:end], "big")


def mstore(frame: Frame) -> None:
    """Write a word."""
    stack = frame.stack
    offset = stack.pop()
    value = stack.pop()
    end = offset + 32
    if end > len(frame.memory):
        frame.expand(offset, 32)
    frame.memory[offset:end] = value.to_bytes(32, "big")


def mstore8(frame: Frame) -> None:
    """Write the low byte of a word."""
    stack = frame.stack
    offset = stack.pop()
    value = stack.pop()
    frame.expand(offset, 1)
    frame.memory[offset] = value & 0xFF


def msize(frame: Frame) -> None:
    """Bytes of memory so far, a multiple of 32."""
    frame.stack.append(len(frame.memory))


def mcopy(frame: Frame) -> None:
    """Copy inside memory; the two areas may overlap (EIP-5656)."""
    # stack
    stack = frame.stack
    target = stack.pop()
    source = stack.pop()
    size = stack.pop()
    # gas
    frame.charge(frame.prices.copy_word * words(size))
    frame.expand(max(target, source), size)
    # operation
    if size:
        frame.memory[target : target + size] = frame.memory[source : source + size]


def keccak(frame: Frame) -> None:
    """keccak256 of a piece of memory."""
    # stack
    stack = frame.stack
    offset = stack.pop()
    size = stack[-1]
    # gas
    frame.charge(frame.prices.keccak_word * words(size))
    frame.expand(offset, size)
    # operation
    stack[-1] = int.from_bytes(keccak256(frame.read(offset, size)), "big")
