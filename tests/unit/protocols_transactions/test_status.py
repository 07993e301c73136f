"""Who may be our peer."""

from __future__ import annotations

import re
from typing import Any

import pytest

from node.p2p.wire import Hello, decode_frame, encode, frame_of
from node.primitives.scalars import Hash32
from node.protocols.status import ChainIdentity, Status

CHAIN = ChainIdentity(1337, Hash32(b"\x01" * 32), Hash32(b"\x02" * 32))


def status(chain: ChainIdentity = CHAIN, name: str = "n0") -> Status:
    return Status(chain, name, "evmesh/0", lambda: (7, Hash32(b"\x07" * 32)))


def test_members_of_one_network_accept_each_other_over_the_wire() -> None:
    (received,) = decode_frame(frame_of([encode(Hello(status(name="n" * 500).hello()))]))
    assert isinstance(received, Hello)
    assert status().check_hello(received.fields) is None
    assert received.fields["head_number"] == 7


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"protocol": 2}, "protocol 2 is not ours"),
        ({"protocol": True}, "protocol True is not ours"),
        ({"protocol": None}, "protocol None"),
        ({"chain_id": 1}, "chain id 1 is not ours \\(1337\\)"),
        ({"chain_id": "1337"}, "chain id '1337' is not"),
        ({"genesis": b"\x09" * 32}, "genesis 0x0909090909090909… is not ours"),
        ({"genesis": 5}, "genesis 5"),
        ({"rules": b"\x09" * 32}, "other fork times"),
        ({"name": 5}, "name is a string"),
        ({"name": "x" * 65}, "name is a string"),
        ({"head_number": "7"}, "head"),
        ({"head_hash": b"\x07" * 31}, "head"),
        ({"head_hash": None}, "head"),
    ],
)
def test_strangers_hear_why(change: dict[str, Any], reason: str) -> None:
    refusal = status().check_hello({**status().hello(), **change})
    assert refusal is not None
    assert re.search(reason, refusal)


@pytest.mark.parametrize("missing", list(status().hello()))
def test_a_hello_with_a_gap_raises_nothing(missing: str) -> None:
    hello = status().hello()
    del hello[missing]
    refusal = status().check_hello(hello)
    assert (refusal is None) == (missing == "client")
