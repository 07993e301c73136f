"""The C library's allocator, told to give memory back to the system. glibc only; elsewhere nothing happens.

What Python does not place itself (values above 512 bytes: blobs, bodies, pages that LMDB writes) comes from malloc.
glibc grows one heap for every thread, raises the size from which a value gets a mapping of its own whenever such a
mapping is freed (to 32 MB), and returns only the top of a heap. So a node that works for an hour holds tens of
megabytes that nobody uses. With fixed bounds and a trim now and then it does not.
"""

from __future__ import annotations

import asyncio
import ctypes
import functools
from typing import Final

from node.runtime.workers import Workers

MMAP_THRESHOLD: Final = 128 * 1024
"""Bytes from which a value has its own mapping, gone when it is freed."""
ARENAS_MAX: Final = 2
"""Heaps; threads of Python seldom allocate at the same time."""
GIVE_BACK_SECONDS: Final = 30
_M_MMAP_THRESHOLD: Final = -3
_M_ARENA_MAX: Final = -8


@functools.cache
def _glibc() -> ctypes.CDLL | None:
    try:
        library = ctypes.CDLL(None)
        for name in ("gnu_get_libc_version", "mallopt", "malloc_trim"):
            getattr(library, name)
    except (AttributeError, OSError, TypeError):  # another C library, or another system
        return None
    return library


def settle() -> bool:
    """Set the bounds for this process and its children by fork; whether there were any to set."""
    library = _glibc()
    if library is None:
        return False
    # 1 is success: a value out of range is the only failure there is
    return bool(library.mallopt(_M_MMAP_THRESHOLD, MMAP_THRESHOLD) and library.mallopt(_M_ARENA_MAX, ARENAS_MAX))


def give_back() -> bool:
    """Return unused pages in the middle of heaps to the system (about 5 ms for 60 MB); whether there were any."""
    library = _glibc()
    return library is not None and bool(library.malloc_trim(0))


async def keep_giving_back(workers: Workers) -> None:
    """Do so twice a minute in a worker, until cancelled."""
    while _glibc() is not None:
        await asyncio.sleep(GIVE_BACK_SECONDS)
        await workers.run(give_back)
