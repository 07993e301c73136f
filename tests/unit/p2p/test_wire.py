"""The strict decoder: round trips, bounds, fuzz."""

from __future__ import annotations

import contextlib

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.p2p import wire
from node.p2p.identity import NodeId
from node.p2p.wire import (
    Announce,
    Direct,
    Fetch,
    Goodbye,
    Hello,
    MalformedMessage,
    Message,
    MessageId,
    Neighbours,
    Ping,
    Pong,
    Push,
    Ready,
    Refusal,
    Request,
    Response,
    decode_frame,
    encode,
    frame_of,
    message_id,
)

names = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=64)
reasons = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=200)
payloads = st.binary(max_size=300)
numbers = st.integers(0, 2**63 - 1)
ids = st.lists(st.binary(min_size=20, max_size=20).map(MessageId), min_size=1, max_size=5).map(tuple)
node_ids = st.binary(min_size=32, max_size=32).map(NodeId)
messages = st.one_of(
    st.dictionaries(
        names, st.one_of(numbers, reasons, payloads.filter(lambda b: len(b) <= 256), st.none()), max_size=5
    ).map(Hello),
    st.just(Ready()),
    st.builds(Goodbye, reasons),
    st.builds(Ping, numbers),
    st.builds(Pong, numbers),
    st.builds(Neighbours, st.lists(st.tuples(node_ids, st.sampled_from(["", "1.2.3.4:5"])), max_size=4).map(tuple)),
    st.builds(Direct, names, payloads),
    st.builds(Push, names, payloads),
    st.builds(Announce, names, ids),
    st.builds(Fetch, ids),
    st.builds(Request, numbers, names, payloads),
    st.builds(Response, numbers, payloads),
    st.builds(Refusal, numbers, reasons),
)


@given(st.lists(messages, min_size=1, max_size=20))
def test_frames_go_both_ways(sent: list[Message]) -> None:
    assert decode_frame(frame_of([encode(message) for message in sent])) == sent


@pytest.mark.parametrize("size", [wire.BATCH_BYTES - 10, wire.BATCH_BYTES_LIMIT, 1_000_000, wire.PAYLOAD_BYTES_MAX])
@pytest.mark.parametrize("build", [Push, Direct, lambda topic, data: Request(7, topic, data)])
def test_large_payloads_go_both_ways(size: int, build: type[Push]) -> None:
    message = build("topic", b"\xc1" * size)
    assert decode_frame(frame_of([encode(message)])) == [message]


@settings(max_examples=500)
@given(st.binary(max_size=400))
def test_random_bytes_are_malformed_or_messages_and_nothing_else(data: bytes) -> None:
    with contextlib.suppress(MalformedMessage):
        decode_frame(data)


@settings(max_examples=300)
@given(st.lists(messages, min_size=1, max_size=5), st.data())
def test_altered_frames_raise_nothing_else(sent: list[Message], data: st.DataObject) -> None:
    frame = bytearray(frame_of([encode(message) for message in sent]))
    for _ in range(data.draw(st.integers(1, 4))):
        frame[data.draw(st.integers(0, len(frame) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(MalformedMessage):
        decode_frame(bytes(frame[: data.draw(st.integers(0, len(frame)))]))


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=600))
def test_large_frames_of_random_bytes_raise_nothing_else(head: bytes) -> None:
    with pytest.raises(MalformedMessage):
        decode_frame(head + bytes(wire.BATCH_BYTES_LIMIT))


def packed(*fields: object) -> bytes:
    return bytes(msgpack.packb([list(fields)]))


@pytest.mark.parametrize(
    ("frame", "what"),
    [
        (b"", "not msgpack"),
        (b"\x90", "non-empty array"),
        (b"\x80", "non-empty array"),
        (b"\x91\x90", "starts with its kind"),
        (packed("3", 1), "starts with its kind"),
        (packed(True, 1), "starts with its kind"),
        (packed(99, 1), "unknown message kind 99"),
        (packed(-1), "unknown message kind"),
        (packed(3), "has 0 fields, not 1"),
        (packed(3, 1, 2), "has 2 fields, not 1"),
        (packed(3, -1), "0 to 2"),
        (packed(3, 2**63), "0 to 2"),
        (packed(3, 1.0), "0 to 2"),
        (packed(3, True), "0 to 2"),
        (packed(3, 1) + b"\x00", "not msgpack"),
        (packed(6, "", b""), "a name is"),
        (packed(6, "x" * 65, b""), "a name is"),
        (packed(6, "tab\t", b""), "a name is"),
        (packed(6, b"bytes", b""), "a name is"),
        (packed(6, "t", "text"), "a payload is"),
        (packed(6, "t", None), "a payload is"),
        (packed(8, "t", []), "1 to 512"),
        (packed(8, "t", [b"x" * 19]), "20 bytes"),
        (packed(9, [b"x" * 20] * 513), "1 to 512"),
        (packed(5, [[b"x" * 31, ""]]), "32 bytes"),
        (packed(5, [[b"x" * 32, "nowhere"]]), "host:port"),
        (packed(5, [[b"x" * 32, 5]]), "short ASCII"),
        (packed(5, [[b"x" * 32]]), "a pair"),
        (packed(5, [[b"x" * 32, ""]] * 257), "at most 256"),
        (packed(0, []), "a hello is a map"),
        (packed(0, {"a": []}), "a hello holds"),
        (packed(0, {"a": 1.5}), "a hello holds"),
        (packed(0, {"a": b"x" * 257}), "too long"),
        (packed(0, {1: 1}), "not msgpack"),
        (packed(0, {str(number): 1 for number in range(33)}), "not msgpack"),
        (packed(2, "x" * 300), "not msgpack"),
        (packed(2, msgpack.ExtType(5, b"")), "a reason is"),
        (packed(2, msgpack.ExtType(5, b"abc")), "not msgpack"),
        (packed(2, msgpack.Timestamp(1, 0)), "not msgpack"),
        (b"\x91\x92\x02\xa1\xff", "not msgpack"),
        (bytes(msgpack.packb([[1]] * 4097)), "not msgpack"),
    ],
)
def test_each_departure_has_its_refusal(frame: bytes, what: str) -> None:
    with pytest.raises(MalformedMessage, match=what):
        decode_frame(frame)


def test_nesting_cannot_exhaust_anything() -> None:
    with pytest.raises(MalformedMessage):
        decode_frame(b"\x91" * 100_000)
    with pytest.raises(MalformedMessage, match="large frame"):
        decode_frame(b"\x91" * 1_000_000)


def test_a_large_frame_builds_no_objects_but_its_payload() -> None:
    """16 MiB of empty lists would become a gigabyte of objects."""
    bomb = b"\xdc\x10\x00" + b"\xdc\x10\x00" * 4096 + b"\x90" * 1_000_000
    with pytest.raises(MalformedMessage, match="large frame"):
        decode_frame(bomb)


def test_a_large_frame_holds_exactly_one_message() -> None:
    one = encode(Push("t", bytes(wire.BATCH_BYTES_LIMIT)))
    for frame in (frame_of([one, one]), frame_of([one]) + b"\x00", frame_of([one])[:-1]):
        with pytest.raises(MalformedMessage):
            decode_frame(frame)


def test_reasons_are_made_fit_for_a_log_line() -> None:
    assert decode_frame(packed(2, "a\nb\x1b[31m")) == [Goodbye("a?b?[31m")]
    assert decode_frame(frame_of([encode(Goodbye("ü" * 500))]))


def test_message_ids_depend_on_topic_and_payload_and_where_one_ends() -> None:
    assert len({message_id("ab", b"c"), message_id("a", b"bc"), message_id("ab", b"cc"), message_id("b", b"c")}) == 4
    assert message_id("t", b"x") == message_id("t", b"x")
