"""Who compiles units: a process of its own, or for tests this one."""

from __future__ import annotations

import importlib
from typing import Final, cast

from node.evm.native import llvm
from node.evm.native.hot.foreman import Worker
from node.runtime.side_process import Limits, SideProcess, is_supported

MODULE: Final = "node.evm.native.hot.worker"
LIMITS: Final = Limits(cpu_seconds=10, memory_bytes=2**30, wall_seconds=120.0, idle_seconds=30.0)
"""A unit of the largest size takes some two seconds of CPU and 200 MB."""


def process() -> SideProcess | None:
    """One that is started when there is something to compile; None where there can be none."""
    return SideProcess(MODULE, LIMITS) if is_supported() and llvm.is_installed() else None


def in_place() -> Worker:
    """One that compiles while it is asked, without optimisation."""
    compiling = importlib.import_module("node.evm.native.hot.compiling")  # a node never loads the compiler
    return cast("Worker", compiling.InPlace(level=0))
