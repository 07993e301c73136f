"""The memory that one running message works in: frames, stacks, tables. Virtual until it is touched.

A full area never does harm: the message is given up and runs on the plain machine.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import struct
import sys
from typing import Final, NamedTuple

from node.evm.native.compiler.types import Struct, layout, size_of
from node.evm.native.runtime.records import (
    DIGEST_BYTES,
    DIGESTS,
    HASH_BYTES,
    JOURNAL_RECORD,
    ROW_BYTES,
    STACK_BYTES,
    Account,
    Frame,
    Order,
    Rules,
    Run,
    Slot,
    Surroundings,
)

FRAMES: Final = 1026
"""Depths 0 to 1024, and one to spare."""
ACCOUNTS_BITS: Final = 15
SLOTS_BITS: Final = 20
JOURNAL_RECORDS: Final = 2**20
MEMORY_BYTES: Final = 2**30 if sys.maxsize > 2**32 and sys.platform != "win32" else 2**26
LOG_BYTES: Final = 2**25
RETURN_BYTES: Final = 2**26
INIT_CODE_BYTES: Final = 2**26
DEPLOYED_BYTES: Final = 2**24
KEPT_BYTES: Final = 2**20
"""What an area may hold on to from one message to the next: to give pages back and to take them again takes time."""


GUARDS_VARIABLE: Final = "EVMESH_NATIVE_GUARDS"
"""Set for searches of mistakes: whatever reaches beyond an area then ends the process (SIGSEGV)."""


class Area:
    """A piece of anonymous memory with an address; between pages that nobody may touch where these are asked for."""

    def __init__(self, size: int, alignment: int = 1) -> None:
        guarded = bool(os.environ.get(GUARDS_VARIABLE)) and sys.platform != "win32"
        step = max(alignment, mmap.PAGESIZE) if guarded else alignment
        whole = size + (2 * step + 2 * mmap.PAGESIZE if guarded else alignment - 1)
        if sys.platform == "win32":
            self._map = mmap.mmap(-1, whole)
        else:
            flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | getattr(mmap, "MAP_NORESERVE", 0)
            self._map = mmap.mmap(-1, whole, flags=flags)
        start = ctypes.addressof(ctypes.c_char.from_buffer(self._map))
        if guarded:
            end = (start + whole - mmap.PAGESIZE) & -step
            self.address = (end - size) & -max(alignment, 8)
            _forbid(end)
            _forbid((self.address & -mmap.PAGESIZE) - mmap.PAGESIZE)
        else:
            self.address = (start + alignment - 1) & -alignment
        self._skipped = self.address - start
        self.view = memoryview(self._map)[self._skipped : self._skipped + size]
        self.size = size

    def release(self) -> None:
        """Give the pages back, but for the first ones; what is read there is no longer what was written."""
        begin = -(-(self._skipped + KEPT_BYTES) // mmap.PAGESIZE) * mmap.PAGESIZE
        if begin < len(self._map) and hasattr(self._map, "madvise") and hasattr(mmap, "MADV_DONTNEED"):
            self._map.madvise(mmap.MADV_DONTNEED, begin, len(self._map) - begin)


def _forbid(page: int) -> None:
    """No access to a page. Raises OSError."""
    protect = ctypes.CDLL(None, use_errno=True).mprotect
    if protect(ctypes.c_void_p(page), ctypes.c_size_t(mmap.PAGESIZE), 0):
        raise OSError(ctypes.get_errno(), "a page cannot be forbidden")


class Counters(NamedTuple):
    """The first fields of ``Run``, in its order."""

    given_up: int
    refund: int
    accounts_count: int
    slots_count: int
    journal_length: int
    journal_mark: int
    logs_length: int
    logs_count: int


assert tuple(layout(Run))[:8] == Counters._fields


class Arena:
    """All areas, and the record ``Run`` that tells compiled code where they are."""

    def __init__(self, callback: int, seed: int) -> None:
        self.run = Area(size_of(Run))
        self.rules = Area(size_of(Rules))
        self.rows = Area(256 * ROW_BYTES)
        self.surroundings = Area(size_of(Surroundings))
        self.hashes = Area(256 * HASH_BYTES)
        self.frames = Area(FRAMES * size_of(Frame))
        self.stacks = Area(FRAMES * STACK_BYTES, alignment=STACK_BYTES)
        self.memory = Area(MEMORY_BYTES)
        self.accounts = Area(size_of(Account) << ACCOUNTS_BITS)
        self.accounts_index = Area(4 << (ACCOUNTS_BITS + 1))
        self.slots = Area(size_of(Slot) << SLOTS_BITS)
        self.slots_index = Area(4 << (SLOTS_BITS + 1))
        self.journal = Area(JOURNAL_RECORD * JOURNAL_RECORDS)
        self.logs = Area(LOG_BYTES)
        self.returned = Area(RETURN_BYTES)
        self.init_codes = Area(INIT_CODE_BYTES)
        self.deployed = Area(DEPLOYED_BYTES)
        self.active = Area(4 << ACCOUNTS_BITS)
        self.digests = Area(DIGESTS * DIGEST_BYTES)
        self.order = Area(size_of(Order))
        self.spec: object = None
        """Whose rules and rows lie here."""
        first: dict[str, int] = {
            "callback": callback,
            "seed": seed,
            "rules": self.rules.address,
            "rows": self.rows.address,
            "surroundings": self.surroundings.address,
            "hashes": self.hashes.address,
            "frames": self.frames.address,
            "stacks": self.stacks.address,
            "memory_end": self.memory.address + MEMORY_BYTES,
            "accounts": self.accounts.address,
            "accounts_capacity": 1 << ACCOUNTS_BITS,
            "accounts_index": self.accounts_index.address,
            "accounts_mask": (1 << (ACCOUNTS_BITS + 1)) - 1,
            "slots": self.slots.address,
            "slots_capacity": 1 << SLOTS_BITS,
            "slots_index": self.slots_index.address,
            "slots_mask": (1 << (SLOTS_BITS + 1)) - 1,
            "journal": self.journal.address,
            "journal_capacity": self.journal.size,
            "logs": self.logs.address,
            "logs_capacity": LOG_BYTES,
            "returned": self.returned.address,
            "returned_capacity": RETURN_BYTES,
            "init_codes": self.init_codes.address,
            "init_codes_capacity": INIT_CODE_BYTES,
            "deployed": self.deployed.address,
            "deployed_capacity": DEPLOYED_BYTES,
            "active": self.active.address,
            "digests": self.digests.address,
        }
        for name, value in first.items():
            put(self.run, Run, name, value)

    def begin(self, target: bytes, blob_hashes: int, blob_count: int) -> None:
        """Empty every table; ``target`` is 32 bytes, little-endian."""
        _HEAD.pack_into(self.run.view, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, blob_hashes, blob_count, target)

    def forget_hashes(self) -> None:
        """Another block asks: no number stands for a known hash, as a number's low byte never fits its place."""
        self.hashes.view[:] = _NO_HASHES

    def counters(self) -> Counters:
        """How much is in the tables."""
        return Counters._make(_COUNTERS.unpack_from(self.run.view))

    def end(self, counters: Counters) -> None:
        """Do not keep more memory than a usual message needs."""
        if counters.slots_count * size_of(Slot) > KEPT_BYTES:
            self.slots.release()
        if counters.journal_length > KEPT_BYTES:
            self.journal.release()
        if counters.logs_length > KEPT_BYTES:
            self.logs.release()

    def shrink(self) -> None:
        """After a message that may have used much: give memory, stacks and tables back."""
        self.slots.release()
        self.shrink_transaction()

    def shrink_transaction(self) -> None:
        """After a transaction that may have used much: give back what the next one does not look at."""
        for area in (self.memory, self.stacks, self.journal, self.logs, self.returned, self.init_codes):
            area.release()


_U64: Final = struct.Struct("<Q")
_I64: Final = struct.Struct("<q")
_NO_HASHES: Final = b"".join(struct.pack("<Q32x", (place + 1) % 256) for place in range(256))
_HEAD: Final = struct.Struct("<12Qq32s")
"""The fields of ``Run`` up to ``answer``."""
_COUNTERS: Final = struct.Struct("<Qq6Q")
assert tuple(layout(Run))[:14][-1] == "answer", "what _HEAD packs"


def put(area: Area, struct_type: type[Struct], name: str, value: int, at: int = 0) -> None:
    """Set one field; words little-endian. ``at`` is the record's place in the area."""
    field = layout(struct_type)[name]
    place = at + field.offset
    area.view[place : place + field.type.size] = value.to_bytes(field.type.size, "little")


def get(area: Area, struct_type: type[Struct], name: str, at: int = 0) -> int:
    """One field as an unsigned number."""
    field = layout(struct_type)[name]
    place = at + field.offset
    return int.from_bytes(area.view[place : place + field.type.size], "little")


def get_signed(area: Area, struct_type: type[Struct], name: str) -> int:
    """One field of 64 bits as a signed number."""
    value: int = _I64.unpack_from(area.view, layout(struct_type)[name].offset)[0]
    return value
