"""The loader of object files: it makes run what LLVM's makes run, and refuses what it does not know."""

from __future__ import annotations

import ctypes
import random
import struct
from pathlib import Path

import pytest

from node.crypto.hashes import keccak256
from node.evm.native import elf, llvm, object_file
from node.evm.native.compiler.module import HANDLER_AT
from node.evm.native.elf import BadObject, ElfImage
from tests.unit.evm.native.compiling import in_a_small_process, needs_llvm

pytestmark = [needs_llvm, pytest.mark.skipif(not elf.fits(), reason="LLVM loads objects here")]
NAMES = (*object_file.EXPORTS, HANDLER_AT)


@pytest.fixture(scope="module")
def content() -> bytes:
    """The machine's object."""
    return object_file.obtain(lambda line: None)


def keccak_at(address: int, data: bytes) -> bytes:
    """The compiled hash."""
    digest = ctypes.create_string_buffer(32)
    ctypes.CFUNCTYPE(None, ctypes.c_char_p, ctypes.c_uint64, ctypes.c_void_p)(address)(data, len(data), digest)
    return digest.raw


def test_functions_run_as_when_llvm_loads_them(content: bytes) -> None:
    assert content  # compiled here, not in the process that has to load it
    in_a_small_process(run_functions_of_both_loaders)


def run_functions_of_both_loaders() -> None:
    content = object_file.obtain(lambda line: None)
    ours, theirs = ElfImage(content, NAMES), llvm.LoadedObject(content, NAMES)
    for size in (0, 1, 135, 136, 137, 1000):
        data = random.Random(size).randbytes(size)
        assert keccak_at(ours.addresses["keccak256"], data) == keccak256(data)
        assert keccak_at(theirs.addresses["keccak256"], data) == keccak256(data)
    places = [ctypes.CFUNCTYPE(ctypes.c_uint64, ctypes.c_uint64)(each.addresses[HANDLER_AT]) for each in (ours, theirs)]
    bases = [place(0) for place in places]
    for number in range(150):  # the table of handlers, whose addresses were written while loading
        assert places[0](number) - bases[0] == places[1](number) - bases[1]


def test_nothing_is_writable_and_executable(content: bytes) -> None:
    image = ElfImage(content, NAMES)
    rights = {}
    for line in Path("/proc/self/maps").read_text().splitlines():
        span, mode = line.split()[:2]
        begin, _, end = span.partition("-")
        for name, address in image.addresses.items():
            if int(begin, 16) <= address < int(end, 16):
                rights[name] = mode
    assert rights == dict.fromkeys(NAMES, "r-xp")


def test_an_object_cut_off_anywhere_is_refused(content: bytes) -> None:
    for size in (0, 10, 63, 64, 1000, len(content) // 2, len(content) - 1):
        with pytest.raises(BadObject):
            ElfImage(content[:size], NAMES)


@pytest.mark.parametrize(
    ("at", "value"), [(0, b"MZ"), (4, b"\x01"), (5, b"\x02"), (16, b"\x02"), (18, struct.pack("<H", 183))]
)
def test_files_for_others_are_refused(content: bytes, at: int, value: bytes) -> None:
    """Another format, 32 bits, another byte order, a program, another processor."""
    with pytest.raises(BadObject, match="for this machine"):
        ElfImage(content[:at] + value + content[at + len(value) :], NAMES)


def test_a_missing_function_and_an_unknown_relocation_are_told(content: bytes) -> None:
    with pytest.raises(BadObject, match="has no fly"):
        ElfImage(content, (*NAMES, "fly"))
    image = ElfImage(content, NAMES)
    table = next(section for section in image._sections if section.kind == 4)
    _, info, _ = struct.unpack_from("<QQq", content, table.offset)
    for changed, words in ((info | 0xFF, "kind 255"), (0xFFFF << 32 | 2, "outside"), (2, "nobody knows")):
        spoilt = bytearray(content)
        struct.pack_into("<Q", spoilt, table.offset + 8, changed)
        with pytest.raises(BadObject, match=words):
            ElfImage(bytes(spoilt), NAMES)


def test_memory_that_may_not_run_is_an_error_of_the_system(content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    class Denying:
        """The C library where the system forbids."""

        def __init__(self, name: None, use_errno: bool = False) -> None:
            self.memcpy = self.memmove = self.memset = ctypes.pythonapi.Py_IncRef

        def mprotect(self, *arguments: object) -> int:
            return -1

    monkeypatch.setattr(ctypes, "CDLL", Denying)
    with pytest.raises(OSError, match="may not be made executable"):
        ElfImage(content, NAMES)
