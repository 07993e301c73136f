"""``python -m tests.side_worker``: does what each request says, for tests of node.runtime.side_process."""

from __future__ import annotations

import os
import sys
import time

from node.runtime.side_process import serve


def handle(request: bytes) -> bytes:
    """echo, exit, sleep, spin, eat memory, or answer too much."""
    if request == b"exit":
        os._exit(3)
    if request == b"sleep":
        time.sleep(600)
    while request == b"spin":
        pass
    if request == b"eat":
        try:
            return bytes(2**34)[:1]
        except MemoryError:
            return b"refused"
    if request == b"flood":
        return bytes(17 * 2**20)
    if request == b"nice":
        return str(os.nice(0)).encode()
    return request[::-1]


if __name__ == "__main__":
    sys.exit(serve(handle, sys.argv[1:]))
