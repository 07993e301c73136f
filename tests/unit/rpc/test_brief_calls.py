"""Calls on the event loop: the same answers as in the lane, bounded each and together."""

from __future__ import annotations

from collections.abc import AsyncIterator
from inspect import iscoroutine
from typing import Any

import orjson
import pytest

from node.primitives.scalars import Address
from node.rpc import brief_calls
from node.rpc.brief_calls import CREDIT_MS_MAX, LONG_KEPT, BriefCalls
from node.rpc.call_parameters import call_request

CODES = {
    "a1": "5a5f5260205ff3",  # returns the gas that is left
    "a2": "5f5f5f5f5f60035af150" + "5a5f5260205ff3",  # calls a precompile, then the same
    "a3": "5f5f5f5f73" + "a5" * 20 + "5af4505a5f5260205ff3",  # a child that loops, with all its gas
    "a4": "6400ffffff00" + "5f" + "20" + "5f5260205ff3",  # one instruction that costs very much
    "a5": "5b5f56",
    "a6": "fe",
    "a7": "600360fd5f5f60" + "05" + "5afa5a5f5260205ff3",
}
"""By the first byte of their addresses."""


@pytest.fixture
async def brief(rpc: Any) -> AsyncIterator[Any]:
    state = {"0x" + key * 20: {"code": "0x" + code, "balance": "0x0"} for key, code in CODES.items()}
    plain = rpc.genesis_json
    rpc.genesis_json = lambda **config: (made := plain(**config)) | {"alloc": made["alloc"] | state}
    devnet = rpc.make_devnet()
    rpc.genesis_json = plain
    yield devnet
    devnet.api.close()
    devnet.backend.runtime.workers.close()


def body(target: str, **fields: str) -> bytes:
    call = {"to": target, "gas": hex(1_000_000), **fields}
    return orjson.dumps({"jsonrpc": "2.0", "id": 1, "method": "eth_call", "params": [call]})


async def answers(devnet: Any, raw: bytes) -> tuple[bool, Any, Any]:
    """Whether the loop answered, what it said, and what the lane says."""
    begun = devnet.dispatcher.begin(raw)
    at_once = not iscoroutine(begun)
    first = begun if at_once else await begun
    devnet.api.brief._credit_ms = -1_000.0
    second = devnet.dispatcher.begin(raw)
    assert iscoroutine(second)
    third = await second
    devnet.api.brief._credit_ms = float(CREDIT_MS_MAX)
    return at_once, orjson.loads(first), orjson.loads(third)


@pytest.mark.parametrize(
    ("key", "at_once"),
    [("a1", True), ("a2", True), ("a3", False), ("a4", False), ("a5", False), ("a6", True), ("a7", True)],
)
async def test_the_answer_is_the_same_where_it_is_made(brief: Any, key: str, at_once: bool) -> None:
    told, here, lane = await answers(brief, body("0x" + key * 20))
    assert here == lane
    assert told is at_once


async def test_known_contracts(brief: Any, rpc: Any) -> None:
    for target, data, at_once in (
        (rpc.EMITTER, "0x" + "11" * 32, True),
        (rpc.REVERTER, "0x" + "22" * 40, True),
        (rpc.OTHER, "0x", True),
        (Address(bytes(19) + b"\x03"), "0x", False),  # a precompile runs in one piece
        (rpc.REVERTER, "0x" + "22" * 5_000, False),
    ):
        told, here, lane = await answers(brief, body("0x" + target.hex(), input=data))
        assert (told, here) == (at_once, lane)


async def test_what_was_long_is_not_tried_again(brief: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    long = body("0x" + "a5" * 20)
    await answers(brief, long)
    tried: list[int] = []
    monkeypatch.setattr(BriefCalls, "ended", lambda self: tried.append(1))
    await brief.dispatcher.call(long)
    assert tried == []
    await brief.dispatcher.call(body("0x" + "a5" * 20, input="0x12345678"))
    assert tried == [1]


class Hands:
    """A clock that stands still unless it is moved."""

    now = 0

    def now_ms(self) -> int:
        return self.now

    def monotonic_ms(self) -> int:
        return self.now


def test_together_they_leave_time_for_others() -> None:
    clock = Hands()
    calls = BriefCalls(clock)
    request = call_request({"to": "0x" + "a1" * 20})
    spent = 0
    while calls.may_begin(request):
        clock.now += 1
        calls.ended()
        spent += 1
    assert CREDIT_MS_MAX <= spent <= 12 * CREDIT_MS_MAX  # some of the time is left to others from then on
    clock.now += 1_000
    assert calls.may_begin(request)
    assert not calls.may_begin(call_request({"data": "0x00"}))
    for number in range(2 * LONG_KEPT):
        calls.was_long(call_request({"to": "0x" + number.to_bytes(20, "big").hex()}))
    assert len(calls._long) == LONG_KEPT
    assert brief_calls.SHARE < 1
