"""Pages of LMDB's map that a process counts as its own, let go when they are many. Linux only.

LMDB maps its file, and every page once read counts as resident until the system wants it back; with memory to spare it
never does, so a node seems to grow with its database. The map is shared and read-only: letting go of a page loses
nothing, and the next read of it finds it in the system's cache (1 to 2 µs for 16 pages).
"""

from __future__ import annotations

import ctypes
import functools
import os
from pathlib import Path
from typing import Final

RESIDENT_MAX: Final = 48 * 2**20
"""Bytes of mapped files in all, about 14 MB of them Python and its libraries."""
_MADV_DONTNEED: Final = 4


@functools.cache
def _libc() -> ctypes.CDLL | None:
    if not os.path.exists("/proc/self/statm"):
        return None
    library = ctypes.CDLL(None, use_errno=True)
    library.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    return library


def mapped_bytes() -> int:
    """Resident bytes of files that this process has mapped."""
    with open("/proc/self/statm", "rb", buffering=0) as file:
        return int(file.read().split()[2]) * os.sysconf("SC_PAGE_SIZE")


def let_go(data_file: Path, resident_max: int = RESIDENT_MAX) -> int:
    """Unmap the pages of ``data_file`` where this process holds more than ``resident_max`` bytes of mapped files.

    Returns the length of the map in bytes, 0 where nothing was done. The map must not be moved meanwhile.
    """
    libc = _libc()
    if libc is None or mapped_bytes() <= resident_max:
        return 0
    name = os.fsencode(data_file)
    told = 0
    with open("/proc/self/maps", "rb") as file:
        for line in file:
            fields = line.rstrip(b"\n").split(None, 5)
            # shared and not writable: pages that hold nothing of our own
            if len(fields) == 6 and fields[5] == name and fields[1] in (b"r--s", b"r-xs"):
                start, end = (int(bound, 16) for bound in fields[0].split(b"-"))
                if libc.madvise(start, end - start, _MADV_DONTNEED) == 0:
                    told += end - start
    return told
