"""Loads an object file into executable memory without LLVM: 0.3 MB instead of 47 (System V gABI, x86-64 psABI 4.4.1).

    sections in memory, side by side ─▶ addresses written into them ─▶ code may run and no longer be written

Only what the compiler makes for Linux on x86-64: three kinds of relocation, functions of the C library by name.
"""

from __future__ import annotations

import ctypes
import mmap
import struct
import sys
from collections.abc import Callable, Iterable, Mapping
from platform import machine
from typing import Any, Final, NamedTuple

_FILE: Final = struct.Struct("<4s5B7xHHIQQQIHHHHHH")
_SECTION: Final = struct.Struct("<IIQQQQIIQQ")
_SYMBOL: Final = struct.Struct("<IBBHQQ")
_RELOCATION: Final = struct.Struct("<QQq")
_RELOCATABLE, _X86_64 = 1, 62
_PROGBITS, _SYMTAB, _RELA, _NOBITS = 1, 2, 4, 8
_ALLOC, _EXECUTABLE = 2, 4
_ABSOLUTE_64, _RELATIVE_32, _CALL_32 = 1, 2, 4
_STUB: Final = b"\xff\x25\0\0\0\0"
"""jmp [rip]: to the address behind it."""
_STUB_BYTES: Final = 16
_READ, _WRITE, _EXECUTE = 1, 2, 4
_C_FUNCTIONS: Final = ("memcpy", "memmove", "memset")


class Section(NamedTuple):
    """As the file has it."""

    name: int
    kind: int
    flags: int
    address: int
    offset: int
    size: int
    link: int
    info: int
    alignment: int
    entry_size: int


class Symbol(NamedTuple):
    """``address`` is 0 where it is nothing of ours."""

    name: str
    address: int


class BadObject(RuntimeError):
    """Not an object file that this loader knows."""


def fits() -> bool:
    """Whether this is the loader for this process."""
    return sys.platform == "linux" and machine() == "x86_64" and struct.calcsize("P") == 8


class ElfImage:
    """An object file in memory, good as long as this object lives. Raises BadObject, OSError where it may not run."""

    def __init__(self, content: bytes, names: Iterable[str], symbols: Mapping[str, int] | None = None) -> None:
        """``symbols``: addresses of what the object calls and does not hold."""
        self._content = content
        self._foreign = dict(symbols or {})
        for name in _C_FUNCTIONS:
            self._foreign[name] = ctypes.cast(getattr(ctypes.CDLL(None), name), ctypes.c_void_p).value or 0
        self._stubs = {name: number for number, name in enumerate(self._foreign)}
        self._sections = self._read_sections()
        self._place_sections()
        known = self._read_symbols()
        for section in self._sections:
            if section.kind == _RELA and section.info in self._offsets:
                self._relocate(section, known)
        self._close()
        found = {symbol.name: symbol.address for symbol in known}
        missing = [name for name in names if not found.get(name)]
        if missing:
            raise BadObject(f"the object file has no {', '.join(missing)}")
        self.addresses = {name: found[name] for name in names}

    def _unpack(self, shape: struct.Struct, at: int) -> tuple[Any, ...]:
        if not 0 <= at <= len(self._content) - shape.size:
            raise BadObject("the object file is cut off")
        return shape.unpack_from(self._content, at)

    def _read_sections(self) -> list[Section]:
        magic, bits, order, _, _, _, kind, cpu, _, _, _, at, _, _, _, _, size, count, _ = self._unpack(_FILE, 0)
        if (magic, bits, order, kind, cpu, size) != (b"\x7fELF", 2, 1, _RELOCATABLE, _X86_64, _SECTION.size):
            raise BadObject("no relocatable object file for this machine")
        return [Section._make(self._unpack(_SECTION, at + number * size)) for number in range(count)]

    def _place_sections(self) -> None:
        """Code first, then the stubs, both on pages of their own; data behind."""
        placed = [number for number, section in enumerate(self._sections) if section.flags & _ALLOC]
        code = [number for number in placed if self._sections[number].flags & _EXECUTABLE]
        data = [number for number in placed if number not in code]
        self._offsets: dict[int, int] = {}
        end = self._lay_out(code, 0)
        self._stubs_at = _round_up(end, _STUB_BYTES)
        self._code_size = _round_up(self._stubs_at + _STUB_BYTES * len(self._stubs), mmap.PAGESIZE)
        size = _round_up(self._lay_out(data, self._code_size), mmap.PAGESIZE)
        self._map = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self._base = ctypes.addressof(ctypes.c_char.from_buffer(self._map))
        for number, offset in self._offsets.items():
            section = self._sections[number]
            if section.kind != _NOBITS:
                text = self._content[section.offset : section.offset + section.size]
                if len(text) != section.size:
                    raise BadObject("the object file is cut off")
                self._map[offset : offset + section.size] = text
        for number, address in enumerate(self._foreign.values()):
            at = self._stubs_at + _STUB_BYTES * number
            self._map[at : at + 14] = _STUB + address.to_bytes(8, "little")

    def _lay_out(self, numbers: list[int], end: int) -> int:
        for number in numbers:
            section = self._sections[number]
            end = _round_up(end, max(1, section.alignment))
            self._offsets[number] = end
            end += section.size
            if end > 2**27:
                raise BadObject("the object file is too large")
        return end

    def _read_symbols(self) -> list[Symbol]:
        table = next((section for section in self._sections if section.kind == _SYMTAB), None)
        if table is None or table.link >= len(self._sections):
            raise BadObject("the object file has no symbols")
        names = self._sections[table.link].offset
        found = []
        for at in range(table.offset, table.offset + table.size, _SYMBOL.size):
            name_at, _, _, section, value, _ = self._unpack(_SYMBOL, at)
            end = self._content.find(b"\0", names + name_at)
            name = self._content[names + name_at : end].decode("ascii", "replace")
            address = 0
            if section in self._offsets:
                address = self._base + self._offsets[section] + value
            elif section == 0 and name in self._stubs:
                address = self._base + self._stubs_at + _STUB_BYTES * self._stubs[name]
            found.append(Symbol(name, address))
        return found

    def _relocate(self, section: Section, symbols: list[Symbol]) -> None:
        begin = self._offsets[section.info]
        length = self._sections[section.info].size
        for at in range(section.offset, section.offset + section.size, _RELOCATION.size):
            place, info, addend = self._unpack(_RELOCATION, at)
            kind, number = info & 0xFFFFFFFF, info >> 32
            width = 8 if kind == _ABSOLUTE_64 else 4
            if number >= len(symbols) or place + width > length:
                raise BadObject("a relocation points outside")
            symbol = symbols[number]
            if not symbol.address:
                raise BadObject(f"nobody knows {symbol.name}")
            value = symbol.address + addend
            if kind in (_RELATIVE_32, _CALL_32):
                value -= self._base + begin + place
                if not -(2**31) <= value < 2**31:
                    raise BadObject(f"{symbol.name} is too far away")
            elif kind != _ABSOLUTE_64:
                raise BadObject(f"relocations of kind {kind} are not known")
            self._map[begin + place : begin + place + width] = (value % 2 ** (8 * width)).to_bytes(width, "little")

    def _close(self) -> None:
        """Code runs and is no longer written. Raises OSError where the system does not let memory run."""
        protect: Callable[..., int] = ctypes.CDLL(None, use_errno=True).mprotect
        for begin, size, rights in (
            (0, self._code_size, _READ | _EXECUTE),
            (self._code_size, len(self._map) - self._code_size, _READ),
        ):
            if size and protect(ctypes.c_void_p(self._base + begin), ctypes.c_size_t(size), rights):
                raise OSError(ctypes.get_errno(), "memory may not be made executable")


def _round_up(value: int, step: int) -> int:
    return (value + step - 1) // step * step
