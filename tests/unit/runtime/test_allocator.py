"""Memory that is freed goes back to the system."""

from __future__ import annotations

import asyncio
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from node.runtime import allocator
from node.runtime.workers import ThreadWorkers

MB = 2**20
glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's allocator is told anything")

# Blobs between smaller values that stay: freed ones leave a heap only when they had mappings of their own, and the
# first line raises the size from which they do, unless that is fixed.
PROGRAM = """
import sys
from node.runtime import allocator

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096

if sys.argv[1] == "settled":
    assert allocator.settle()
b"x" * 8_000_000
before = resident()
blobs, kept = [], []
for _ in range(200):
    blobs.append(b"x" * 200_000)
    kept.append(b"x" * 10_000)
full = resident() - before
del blobs
held = resident() - before
gave = allocator.give_back()
print(full, held, gave, resident() - before)
"""


def measured(kind: str) -> tuple[int, int, bool, int]:
    """Bytes while all is in use, when most is free, whether a trim gave any back, bytes then."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, kind], stdout=subprocess.PIPE, check=True, cwd=Path(__file__).parents[3]
    )
    full, held, gave, after = done.stdout.split()
    return int(full), int(held), gave == b"True", int(after)


@glibc
def test_large_values_leave_at_once_where_the_bounds_are_settled() -> None:
    full, held, _, after = measured("settled")
    assert full > 35 * MB
    assert held < 5 * MB
    assert after < 5 * MB


@glibc
def test_unused_pages_inside_a_heap_are_given_back() -> None:
    full, held, gave, after = measured("as it is")
    assert full > 35 * MB
    assert held > 30 * MB  # what settling is for
    assert gave
    assert after < 5 * MB


@glibc
async def test_it_is_done_again_and_again_until_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[int] = []
    often = asyncio.Event()
    loop = asyncio.get_running_loop()

    def counted() -> None:
        done.append(1)
        if len(done) == 3:
            loop.call_soon_threadsafe(often.set)

    monkeypatch.setattr(allocator, "GIVE_BACK_SECONDS", 0)
    monkeypatch.setattr(allocator, "give_back", counted)
    workers = ThreadWorkers(1)
    task = asyncio.create_task(allocator.keep_giving_back(workers))
    await often.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    workers.close()


async def test_elsewhere_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allocator, "_glibc", lambda: None)
    assert not allocator.settle()
    assert not allocator.give_back()
    await allocator.keep_giving_back(ThreadWorkers(1))  # ends at once
