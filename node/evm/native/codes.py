"""Codes ready for compiled code: padded, with their jump maps, at addresses that stay."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from node.evm.native.compiler.types import size_of
from node.evm.native.runtime.records import COUNTED, ENTRIES_MAX, ENTRY, LANDING, Heat
from node.evm.native.runtime.world import CODE_PADDING

BYTES_MAX: Final = 8 * 2**20
_AS_COUNTED: Final = bytes(COUNTED if mark == LANDING else mark for mark in range(256))
_BEFORE_MAP: Final = 8
"""Bytes before a jump map, for the address of a ``Heat``."""
_HEAT: Final = struct.Struct("<QQQ")
assert size_of(Heat) == _HEAT.size, "what _HEAT packs"


class Placed(NamedTuple):
    """Addresses of a code and of its jump map."""

    address: int
    size: int
    jumps_address: int


class ReadyCode:
    """One code; its addresses are good as long as this object lives."""

    __slots__ = ("_jumps", "_padded", "address", "heat", "jumps_address", "size")

    def __init__(self, code: bytes, find_jumps: Callable[[int, int, int], None], counted: bool = False) -> None:
        """``counted``: hits of its landing places are counted, and units may be entered there."""
        self.size = len(code)
        self._padded = ctypes.create_string_buffer(code + bytes(CODE_PADDING), self.size + CODE_PADDING)
        self._jumps = ctypes.create_string_buffer(_BEFORE_MAP + self.size + 1)
        self.address = ctypes.addressof(self._padded)
        self.jumps_address = ctypes.addressof(self._jumps) + _BEFORE_MAP
        find_jumps(self.address, self.size, self.jumps_address)
        self.heat = HeatMap(code, self._jumps) if counted else None


class HeatMap:
    """Hits of a code's landing places, and the units that may be entered there."""

    def __init__(self, code: bytes, jumps: ctypes.Array[ctypes.c_char]) -> None:
        self.code = code
        self._jumps = jumps
        self._hits = ctypes.create_string_buffer(4 * len(code) + 4)
        self._entries = ctypes.create_string_buffer(8 * ENTRIES_MAX)
        self._record = ctypes.create_string_buffer(
            _HEAT.pack(ctypes.addressof(self._hits), ctypes.addressof(self._entries), 0), _HEAT.size
        )
        self.told = 0
        """Hot landing places that somebody has heard of."""
        self._count = 0
        self._units: list[object] = []
        marks = jumps.raw[_BEFORE_MAP:].translate(_AS_COUNTED)
        jumps.raw = ctypes.addressof(self._record).to_bytes(_BEFORE_MAP, "little") + marks

    def hot(self) -> int:
        """How many landing places have become hot."""
        return int(_HEAT.unpack_from(self._record)[2])

    def hits(self) -> dict[int, int]:
        """Hits by landing place, without those that nobody came to."""
        words = memoryview(self._hits).cast("B").cast("I")
        return {pc: count for pc, count in enumerate(words) if count}

    def enter(self, unit: object, entries: Mapping[int, int]) -> None:
        """From now on these landing places lead into ``unit``: the address of its function for each.

        Other threads may be running this code: an address stands in its place before a mark names it.
        """
        self._units.append(unit)
        for pc, address in entries.items():
            if self._count == ENTRIES_MAX:
                return
            struct.pack_into("<Q", self._entries, 8 * self._count, address)
            self._jumps[_BEFORE_MAP + pc] = bytes((ENTRY + self._count,))
            self._count += 1


class CodeCache:
    """Recently run codes, bounded by their bytes, in two generations like ``node.evm.code.CodeCache``."""

    def __init__(
        self,
        find_jumps: Callable[[int, int, int], None],
        bytes_max: int = BYTES_MAX,
        made: Callable[[ReadyCode, CodeCache], None] | None = None,
    ) -> None:
        """``made`` hears of each code that is made ready; where somebody does, hits are counted, for hot code."""
        self._find_jumps = find_jumps
        self._made = made
        self._generation_bytes_max = bytes_max // 2
        self._young: dict[bytes, ReadyCode] = {}
        self._young_bytes = 0
        self._old: dict[bytes, ReadyCode] = {}
        self._nothing = ReadyCode(b"", find_jumps)
        self.empty = Placed(self._nothing.address, 0, self._nothing.jumps_address)
        """What accounts without code have."""

    def get(self, code: bytes) -> ReadyCode:
        """``code``, made ready at most once while it is kept."""
        found = self._young.get(code)
        if found is not None:
            return found
        found = self._old.get(code) or self._make(code)
        if self._young_bytes > self._generation_bytes_max:
            self._old, self._young, self._young_bytes = self._young, {}, 0
        self._young[code] = found
        self._young_bytes += 3 * len(code) + 300
        if found.heat is not None:
            self._young_bytes += 4 * len(code) + 2_200
        return found

    def weigh(self, size: int) -> None:
        """A code that is kept has become larger by a unit."""
        self._young_bytes += size

    def _make(self, code: bytes) -> ReadyCode:
        if self._made is None or not code:
            return self.once(code)
        found = ReadyCode(code, self._find_jumps, counted=True)
        self._made(found, self)
        return found

    def once(self, code: bytes) -> ReadyCode:
        """``code`` made ready and not kept: init code runs once."""
        return ReadyCode(code, self._find_jumps)
