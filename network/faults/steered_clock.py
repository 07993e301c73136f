"""A clock that can be set wrong while its node runs: the machine's clock plus what a small file says.

The file is mapped into memory, so that a reading costs no system call. Only wall time is steered: monotonic time and
timers stay the machine's. Content: ``guard, offset_ms, drift_ppm, drift_from_ms, guard``, five little-endian 64-bit
integers; a pair of guards that differ is a write half done, and the reading before it stands.
"""

from __future__ import annotations

import mmap
import os
import struct
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from node.runtime.clock import SystemClock

CLOCK_FILE: Final = "clock"
"""Beside a node's configuration."""
_LAYOUT: Final = struct.Struct("<5q")


@dataclass(frozen=True, slots=True)
class Steering:
    """How wrong the clock is. ``drift_from_ms``: monotonic time since when it drifts."""

    offset_ms: int = 0
    drift_ppm: int = 0
    drift_from_ms: int = 0

    def wrong_by_ms(self, monotonic_ms: int) -> int:
        """Ahead of the machine's clock; negative: behind."""
        return self.offset_ms + (monotonic_ms - self.drift_from_ms) * self.drift_ppm // 1_000_000


class SteeredClock(SystemClock):
    """The clock door of a node whose clock can be set wrong through ``path``; made where it is missing."""

    def __init__(self, path: Path) -> None:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if os.fstat(descriptor).st_size != _LAYOUT.size:
                os.ftruncate(descriptor, 0)
                os.ftruncate(descriptor, _LAYOUT.size)
            self._map = mmap.mmap(descriptor, _LAYOUT.size, access=mmap.ACCESS_READ)
        finally:
            os.close(descriptor)
        self._steering = Steering()

    def now_ms(self) -> int:
        """Wall time as this node believes it to be."""
        before, offset_ms, drift_ppm, drift_from_ms, after = _LAYOUT.unpack_from(self._map)
        if before == after:
            self._steering = Steering(offset_ms, drift_ppm, drift_from_ms)
        return super().now_ms() + self._steering.wrong_by_ms(self.monotonic_ms())


def read_steering(path: Path) -> Steering:
    """What a node's file says now."""
    try:
        _, offset_ms, drift_ppm, drift_from_ms, _ = _LAYOUT.unpack(path.read_bytes())
    except (OSError, struct.error):
        return Steering()
    return Steering(offset_ms, drift_ppm, drift_from_ms)


def steer(path: Path, offset_ms: int, drift_ppm: int) -> None:
    """Set a node's clock wrong by ``offset_ms`` from now on, growing by ``drift_ppm``. Raises OSError."""
    now_ms = time.monotonic_ns() // 1_000_000
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        guard = int.from_bytes(os.pread(descriptor, 8, 0), "little", signed=True) + 1
        os.pwrite(descriptor, guard.to_bytes(8, "little", signed=True), 0)
        os.pwrite(descriptor, _LAYOUT.pack(guard, offset_ms, drift_ppm, now_ms, guard), 0)
    finally:
        os.close(descriptor)
