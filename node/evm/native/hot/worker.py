"""``python -m node.evm.native.hot.worker``: the process that compiles units. Its limits stand in its arguments."""

from __future__ import annotations

import sys

from node.evm.native.hot.compiling import compile_unit
from node.evm.native.hot.units import CompiledUnit, read_request, write_answer
from node.runtime.side_process import serve


def handle(request: bytes) -> bytes:
    """One request; an answer without entries where there is nothing to compile, or LLVM refuses."""
    try:
        unit = compile_unit(*read_request(request))
    except RuntimeError:
        unit = CompiledUnit(b"", ())
    return write_answer(unit)


if __name__ == "__main__":
    sys.exit(serve(handle, sys.argv[1:]))
