"""Contract code made ready to run: padded, with its jump destinations found once.

A small bounded cache keeps the analyses of the codes that run most; init code runs once and is not kept.
"""

from __future__ import annotations

from typing import Final

JUMPDEST: Final = 0x5B
PUSH1: Final = 0x60
PUSH32: Final = 0x7F

_PADDING: Final = bytes(33)
"""Running off the end reads STOP, also behind a PUSH32 that is the last byte (Yellow Paper 9.4.1)."""


class Code:
    """The bytes of one contract.

    ``padded`` is the code followed by 33 zero bytes, so that neither the fetch of an opcode nor of
    an immediate needs a bounds check. ``jump_map`` has one byte for each byte of code, 1 where a
    jump may land; it is computed at the first jump.
    """

    __slots__ = ("_jump_map", "padded", "size")

    def __init__(self, code: bytes) -> None:
        self.size = len(code)
        self.padded = code + _PADDING
        self._jump_map: bytes | None = None

    @property
    def jump_map(self) -> bytes:
        """One byte for each byte of code: 1 where a JUMPDEST instruction stands (Yellow Paper 9.4.3)."""
        if self._jump_map is None:
            self._jump_map = find_jump_destinations(self.padded, self.size)
        return self._jump_map

    def is_jump_destination(self, position: int) -> bool:
        """Whether a jump may land at ``position``."""
        return position < self.size and self.jump_map[position] == 1


def find_jump_destinations(code: bytes, size: int) -> bytes:
    """A map of the first ``size`` bytes of ``code``: 1 at every JUMPDEST that is not PUSH data, else 0."""
    marks = bytearray(size)
    position = 0
    while position < size:
        opcode = code[position]
        if opcode == JUMPDEST:
            marks[position] = 1
        elif PUSH1 <= opcode <= PUSH32:
            position += opcode - PUSH1 + 1
        position += 1
    return bytes(marks)


class CodeCache:
    """The analyses of recently run codes, bounded by the bytes they hold; safe to share between threads.

    Two generations: what is used moves to the young one; when that is full it becomes the old one, and what was
    old is forgotten. Single dict reads and writes need no lock; two threads may at worst analyse a code twice.
    """

    def __init__(self, bytes_max: int) -> None:
        self._generation_bytes_max = bytes_max // 2
        self._young: dict[bytes, Code] = {}
        self._young_bytes = 0
        self._old: dict[bytes, Code] = {}

    def __len__(self) -> int:
        return len(self._young.keys() | self._old.keys())

    def get(self, code: bytes) -> Code:
        """The analysis of ``code``, kept for the next call.

        The key is the bytes object itself: Python remembers its hash, and for the object that the
        state hands out again and again the lookup never compares contents.
        """
        found = self._young.get(code)
        if found is not None:
            return found
        found = self._old.get(code) or Code(code)
        if self._young_bytes > self._generation_bytes_max:
            self._old, self._young, self._young_bytes = self._young, {}, 0
        self._young[code] = found
        self._young_bytes += 3 * len(code) + 300  # the key, the padded copy, the jump map; objects around them
        return found
