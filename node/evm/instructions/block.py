"""BLOCKHASH .. BLOBBASEFEE: the block and the transaction around the frame."""

from __future__ import annotations

from typing import Final

from node.evm.frame import Frame

HASHES_REMEMBERED: Final = 256
"""BLOCKHASH answers for this many blocks before the current one (Yellow Paper, appendix H.2)."""


def blockhash(frame: Frame) -> None:
    """Hash of one of the last 256 blocks, 0 for any other number."""
    stack = frame.stack
    number = stack[-1]
    block = frame.block
    if number < block.number <= number + HASHES_REMEMBERED:
        stack[-1] = int.from_bytes(block.block_hash(number), "big")
    else:
        stack[-1] = 0


def coinbase(frame: Frame) -> None:
    """Who gets the fees."""
    frame.stack.append(int.from_bytes(frame.block.coinbase, "big"))


def timestamp(frame: Frame) -> None:
    """Seconds since 1970."""
    frame.stack.append(frame.block.timestamp)


def number(frame: Frame) -> None:
    """Height of the block."""
    frame.stack.append(frame.block.number)


def difficulty(frame: Frame) -> None:
    """Work of the block, before the Merge."""
    frame.stack.append(frame.block.difficulty)


def prevrandao(frame: Frame) -> None:
    """The beacon chain's random value (EIP-4399)."""
    frame.stack.append(int.from_bytes(frame.block.prev_randao, "big"))


def gaslimit(frame: Frame) -> None:
    """Gas limit of the block."""
    frame.stack.append(frame.block.gas_limit)


def chainid(frame: Frame) -> None:
    """EIP-1344."""
    frame.stack.append(frame.block.chain_id)


def basefee(frame: Frame) -> None:
    """Wei a gas (EIP-3198)."""
    frame.stack.append(frame.block.base_fee_per_gas)


def blobhash(frame: Frame) -> None:
    """Versioned hash of one of the transaction's blobs, 0 where there is none (EIP-4844)."""
    stack = frame.stack
    index = stack[-1]
    hashes = frame.transaction.blob_versioned_hashes
    stack[-1] = int.from_bytes(hashes[index], "big") if index < len(hashes) else 0


def blobbasefee(frame: Frame) -> None:
    """Wei a blob gas (EIP-7516)."""
    frame.stack.append(frame.block.blob_base_fee)
