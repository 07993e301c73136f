"""How a test enters a chain of handlers."""

from __future__ import annotations

from node.evm.native.compiler.intrinsics import call_handler
from node.evm.native.compiler.types import Struct, i64, ptr


class Anything(Struct):
    """A frame of handlers that ask nothing of it."""


def enter(function: ptr, frame: Anything, times: i64) -> None:
    """Run the chain that begins at ``function``."""
    call_handler(function, frame, ptr(frame), ptr(frame), times, ptr(frame))
