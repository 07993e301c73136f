"""Contract code made ready to run: padded, with its jump destinations found once.

A small bounded cache keeps the analyses of the codes that run most; init code runs once and is not kept.
"""

from __future__ import annotations

from collections import OrderedDict
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
    """The analyses of recently run codes, least recently used out first, bounded by the bytes they hold."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._bytes_held = 0
        self._codes: OrderedDict[bytes, Code] = OrderedDict()

    def __len__(self) -> int:
        return len(self._codes)

    def get(self, code: bytes) -> Code:
        """The analysis of ``code``, kept for the next call.

        The key is the bytes object itself: Python remembers its hash, and for the object that the
        state hands out again and again the lookup never compares contents.
        """
        found = self._codes.get(code)
        if found is not None:
            self._codes.move_to_end(code)
            return found
        found = Code(code)
        self._codes[code] = found
        self._bytes_held += self._cost(code)
        while self._bytes_held > self._bytes_max and len(self._codes) > 1:
            oldest, _ = self._codes.popitem(last=False)
            self._bytes_held -= self._cost(oldest)
        return found

    @staticmethod
    def _cost(code: bytes) -> int:
        return 3 * len(code) + 300  # the key, the padded copy, the jump map; objects around them
