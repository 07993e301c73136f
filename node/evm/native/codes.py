"""Codes ready for compiled code: padded, with their jump maps, at addresses that stay."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Final, NamedTuple

from node.evm.native.runtime.world import CODE_PADDING

BYTES_MAX: Final = 8 * 2**20


class Placed(NamedTuple):
    """Addresses of a code and of its jump map."""

    address: int
    size: int
    jumps_address: int


class ReadyCode:
    """One code; its addresses are good as long as this object lives."""

    __slots__ = ("_jumps", "_padded", "address", "jumps_address", "size")

    def __init__(self, code: bytes, find_jumps: Callable[[int, int, int], None]) -> None:
        self.size = len(code)
        self._padded = ctypes.create_string_buffer(code + bytes(CODE_PADDING), self.size + CODE_PADDING)
        self._jumps = ctypes.create_string_buffer(self.size + 1)
        self.address = ctypes.addressof(self._padded)
        self.jumps_address = ctypes.addressof(self._jumps)
        find_jumps(self.address, self.size, self.jumps_address)


class CodeCache:
    """Recently run codes, bounded by their bytes, in two generations like ``node.evm.code.CodeCache``."""

    def __init__(self, find_jumps: Callable[[int, int, int], None], bytes_max: int = BYTES_MAX) -> None:
        self._find_jumps = find_jumps
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
        found = self._old.get(code) or self.once(code)
        if self._young_bytes > self._generation_bytes_max:
            self._old, self._young, self._young_bytes = self._young, {}, 0
        self._young[code] = found
        self._young_bytes += 3 * len(code) + 300
        return found

    def once(self, code: bytes) -> ReadyCode:
        """``code`` made ready and not kept: init code runs once."""
        return ReadyCode(code, self._find_jumps)
