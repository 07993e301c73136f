"""Hashes of memory, and those that are asked for again and again: places in mappings are hashes of 64 bytes.

A table of the latest ones, each in the one place that its bytes lead to; a hit takes a twentieth of the time.
"""

from __future__ import annotations

from node.evm.native.compiler.intrinsics import (
    apart,
    inline,
    likely,
    load64,
    load256,
    scratch,
    store64,
    store256,
    swap_bytes,
)
from node.evm.native.compiler.types import ptr, u64, u256
from node.evm.native.runtime.keccak import keccak256
from node.evm.native.runtime.records import DIGEST_BYTES, DIGESTS, Run
from node.evm.native.runtime.world import mixed


def hash_of(data: ptr, size: u64) -> u256:
    """keccak256 as a word."""
    digest: ptr = scratch(32)
    keccak256(data, size, digest)
    return swap_bytes(load256(digest))


@apart
def hash_of_pair(run: Run, data: ptr) -> u256:
    """keccak256 of 64 bytes."""
    one: u256 = load256(data)
    other: u256 = load256(data, 32)
    # keys and slots are mostly small numbers, most significant byte first: what differs must be in the low limb
    at: u64 = mixed(swap_bytes(one), u64(swap_bytes(other))) & (DIGESTS - 1)
    place: ptr = run.digests + at * DIGEST_BYTES
    if likely(load64(place) == 1 and load256(place, 8) == one and load256(place, 40) == other):
        return load256(place, 72)
    word: u256 = hash_of(data, u64(64))
    store64(place, 0, 1)
    store256(place, 8, one)
    store256(place, 40, other)
    store256(place, 72, word)
    return word


@inline
def hash_of_memory(run: Run, data: ptr, size: u64) -> u256:
    """keccak256 as a word, by the table where it serves."""
    if size == 64:
        return hash_of_pair(run, data)
    return hash_of(data, size)
