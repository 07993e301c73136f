"""Every chance of a run, drawn from its seed: one independent stream a purpose.

One more draw in one place does not move the draws of any other, so a small change of code leaves most of a run as it
was. Built on BLAKE2b alone: the same on every Python, under every hash seed.
"""

from __future__ import annotations

import random
from hashlib import blake2b

from node.runtime.runtime import Entropy


def stream_key(seed: int, *purpose: str) -> bytes:
    """32 bytes that name one stream. Purposes are framed by length, so ("ab", "c") is not ("a", "bc")."""
    digest = blake2b(digest_size=32, person=b"evmesh-simulator")
    digest.update(seed.to_bytes(32, "big", signed=True))
    for part in purpose:
        text = part.encode()
        digest.update(len(text).to_bytes(4, "big") + text)
    return digest.digest()


def seeded_random(seed: int, *purpose: str) -> random.Random:
    """A generator for faults and schedules. Draw with ``random()`` alone: it alone never changes between Pythons."""
    return random.Random(int.from_bytes(stream_key(seed, *purpose), "big"))


def seeded_entropy(seed: int, *purpose: str) -> Entropy:
    """The entropy door of one node: ``entropy(n)`` gives the next n bytes of the purpose's stream."""
    key = stream_key(seed, *purpose)
    counter = 0
    left = b""

    def entropy(count: int) -> bytes:
        nonlocal counter, left
        while len(left) < count:
            left += blake2b(counter.to_bytes(8, "big"), key=key).digest()
            counter += 1
        drawn, left = left[:count], left[count:]
        return drawn

    return entropy
