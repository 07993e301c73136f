"""What stands inside a frame: msgpack, strictly checked.

A frame is an array of messages, a message is ``[kind, field, …]``. Small messages travel many to a frame; a message
too big for that has a frame of its own, in which its payload is the rest of the frame: so the decoder never builds
more than BATCH_BYTES_LIMIT bytes' worth of nested objects (an empty list costs one byte on the wire and 64 here).

Every field has a type and a bound; unknown kinds, extra fields, ext types and trailing bytes are refused.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NewType

import msgpack

from node.p2p.identity import NODE_ID_BYTES, NodeId
from node.p2p.session import PLAINTEXT_BYTES_MAX
from node.runtime.transport import split_address

PAYLOAD_BYTES_MAX: Final = 12 * 1024 * 1024
"""A block is at most 8 MiB (EIP-7934); with its certificate and envelope this is ample."""
BATCH_BYTES: Final = 64 * 1024
"""The sender fills a frame up to here."""
BATCH_BYTES_LIMIT: Final = 2 * BATCH_BYTES
"""A longer frame must hold exactly one message with a payload."""
BATCH_MESSAGES_MAX: Final = 4096
HELLO_BYTES_MAX: Final = 8 * 1024
HELLO_KEYS_MAX: Final = 32
TEXT_BYTES_MAX: Final = 256
NAME_LENGTH_MAX: Final = 64
IDS_MAX: Final = 512
NEIGHBOURS_MAX: Final = 256
MESSAGE_ID_BYTES: Final = 20
U63_MAX: Final = 2**63 - 1

MessageId = NewType("MessageId", bytes)
"""20 bytes: SHA-256 over topic and payload, shortened."""

HelloValue = int | str | bytes | bool | None


class MalformedMessage(Exception):
    """The bytes are not a message of this protocol; ``reason`` says where it breaks."""

    @property
    def reason(self) -> str:
        """What is wrong, fit for a log line and for the other side."""
        return str(self)


@dataclass(frozen=True, slots=True)
class Hello:
    """Who I am and which chain I am on: the first message of each side."""

    fields: dict[str, HelloValue]


@dataclass(frozen=True, slots=True)
class Ready:
    """Your hello suits me; the session begins."""


@dataclass(frozen=True, slots=True)
class Goodbye:
    """I close this session, and why."""

    reason: str


@dataclass(frozen=True, slots=True)
class Ping:
    """Are you there? The same number comes back."""

    number: int


@dataclass(frozen=True, slots=True)
class Pong:
    """The answer to Ping."""

    number: int


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Whom I have sessions with, and where they listen (empty where not proven)."""

    peers: tuple[tuple[NodeId, str], ...]


@dataclass(frozen=True, slots=True)
class Direct:
    """For you alone, not to be forwarded."""

    topic: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Push:
    """Gossip: forward it when you accept it."""

    topic: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Announce:
    """I have these gossip messages; fetch what you miss."""

    topic: str
    ids: tuple[MessageId, ...]


@dataclass(frozen=True, slots=True)
class Fetch:
    """Push me these."""

    ids: tuple[MessageId, ...]


@dataclass(frozen=True, slots=True)
class Request:
    """Call ``name``; the answer bears the same number."""

    number: int
    name: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Response:
    """The answer."""

    number: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Refusal:
    """No answer, and why."""

    number: int
    reason: str


Message = (
    Hello | Ready | Goodbye | Ping | Pong | Neighbours | Direct | Push | Announce | Fetch | Request | Response | Refusal
)


def message_id(topic: str, payload: bytes) -> MessageId:
    """The name of a gossip message: equal content, equal name."""
    digest = hashlib.sha256(topic.encode())
    digest.update(b"\x00")
    digest.update(payload)
    return MessageId(digest.digest()[:MESSAGE_ID_BYTES])


# --- encoding -----------------------------------------------------------------------------------


def encode(message: Message) -> bytes:
    """One message. Its bounds are the caller's to keep (asserted)."""
    fields = _fields(message)
    encoded = bytes(msgpack.packb(fields, use_bin_type=True))
    assert len(encoded) <= BATCH_BYTES or isinstance(message, Direct | Push | Request | Response), "message too big"
    assert len(encoded) < PLAINTEXT_BYTES_MAX, "payload too big"
    return encoded


def _fields(message: Message) -> list[object]:
    match message:
        case Hello(fields):
            return [0, fields]
        case Ready():
            return [1]
        case Goodbye(reason):
            return [2, clip(reason)]
        case Ping(number):
            return [3, number]
        case Pong(number):
            return [4, number]
        case Neighbours(peers):
            return [5, [list(peer) for peer in peers]]
        case Direct(topic, payload):
            return [6, topic, payload]
        case Push(topic, payload):
            return [7, topic, payload]
        case Announce(topic, ids):
            return [8, topic, list(ids)]
        case Fetch(ids):
            return [9, list(ids)]
        case Request(number, name, payload):
            return [10, number, name, payload]
        case Response(number, payload):
            return [11, number, payload]
        case Refusal(number, reason):
            return [12, number, clip(reason)]


def clip(text: str) -> str:
    """At most TEXT_BYTES_MAX bytes of UTF-8."""
    return text.encode()[:TEXT_BYTES_MAX].decode(errors="ignore")


def frame_of(encoded: Sequence[bytes]) -> bytes:
    """Several encoded messages as one frame; the caller keeps to BATCH_BYTES, or sends one alone."""
    count = len(encoded)
    assert 0 < count <= BATCH_MESSAGES_MAX, "empty or overfull frame"
    head = bytes((0x90 | count,)) if count < 16 else b"\xdc" + count.to_bytes(2, "big")
    return b"".join((head, *encoded))


# --- decoding -----------------------------------------------------------------------------------


def decode_frame(frame: bytes) -> list[Message]:
    """The messages of one frame, in order. Raises MalformedMessage and nothing else, whatever the bytes."""
    items = _unpack_large(frame) if len(frame) > BATCH_BYTES_LIMIT else _unpack(frame)
    if type(items) is not list or not items:
        raise MalformedMessage("a frame is a non-empty array of messages")
    return [_message(item) for item in items]


def _unpack(data: bytes) -> Any:
    try:
        return msgpack.unpackb(
            data,
            raw=False,
            strict_map_key=True,
            max_str_len=TEXT_BYTES_MAX,
            max_bin_len=BATCH_BYTES_LIMIT,
            max_array_len=BATCH_MESSAGES_MAX,
            max_map_len=HELLO_KEYS_MAX,
            max_ext_len=0,
        )
    except (ValueError, msgpack.UnpackException) as error:
        raise MalformedMessage(f"not msgpack within its limits: {clip(str(error))}") from error


_BIN32: Final = 0xC6
_BIN32_HEAD_BYTES: Final = 5
_LARGE_HEAD_BYTES_MAX: Final = 512


def _unpack_large(frame: bytes) -> list[list[object]]:
    """A frame that holds one message whose payload is all the rest: only the head is unpacked."""
    head = msgpack.Unpacker(
        raw=False,
        strict_map_key=True,
        max_str_len=TEXT_BYTES_MAX,
        max_bin_len=TEXT_BYTES_MAX,
        max_array_len=8,
        max_map_len=8,
        max_ext_len=0,
        max_buffer_size=_LARGE_HEAD_BYTES_MAX,
    )
    head.feed(frame[:_LARGE_HEAD_BYTES_MAX])
    try:
        count = head.read_array_header()
        length = head.read_array_header()
        fields: list[object] = [head.unpack() for _ in range(length - 1)]
        start = head.tell()
    except (ValueError, msgpack.UnpackException) as error:
        raise MalformedMessage(f"large frame: {clip(str(error))}") from error
    rest = start + _BIN32_HEAD_BYTES
    if count != 1 or frame[start] != _BIN32 or int.from_bytes(frame[start + 1 : rest], "big") != len(frame) - rest:
        raise MalformedMessage("a large frame holds one message whose payload is the rest of the frame")
    fields.append(frame[rest:])
    return [fields]


def _message(item: Any) -> Message:
    if type(item) is not list or not item or type(item[0]) is not int:
        raise MalformedMessage("a message is an array that starts with its kind")
    decoder = _DECODERS.get(item[0])
    if decoder is None:
        raise MalformedMessage(f"unknown message kind {item[0]}")
    count, build = decoder
    if len(item) != count + 1:
        raise MalformedMessage(f"message kind {item[0]} has {len(item) - 1} fields, not {count}")
    return build(*item[1:])


def _number(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= U63_MAX:
        raise MalformedMessage("a number is an integer from 0 to 2^63 - 1")
    return value


def _name(value: Any) -> str:
    if type(value) is not str or not 0 < len(value) <= NAME_LENGTH_MAX or not (value.isascii() and value.isprintable()):
        raise MalformedMessage(f"a name is 1 to {NAME_LENGTH_MAX} printable ASCII characters")
    return value


def _text(value: Any) -> str:
    if type(value) is not str:
        raise MalformedMessage("a reason is a string")
    return "".join(character if character.isprintable() else "?" for character in value)


def _payload(value: Any) -> bytes:
    if type(value) is not bytes or len(value) > PAYLOAD_BYTES_MAX:
        raise MalformedMessage(f"a payload is at most {PAYLOAD_BYTES_MAX} bytes")
    return value


def _ids(value: Any) -> tuple[MessageId, ...]:
    if type(value) is not list or not 0 < len(value) <= IDS_MAX:
        raise MalformedMessage(f"a list of message ids has 1 to {IDS_MAX} entries")
    if not all(type(entry) is bytes and len(entry) == MESSAGE_ID_BYTES for entry in value):
        raise MalformedMessage(f"a message id has {MESSAGE_ID_BYTES} bytes")
    return tuple(value)


def _hello(value: Any) -> Hello:
    if type(value) is not dict:
        raise MalformedMessage("a hello is a map")
    for key, entry in value.items():
        _name(key)
        if type(entry) is int:
            _number(entry)
        elif type(entry) is str:
            _text(entry)
        elif type(entry) is bytes:
            if len(entry) > TEXT_BYTES_MAX:
                raise MalformedMessage("a hello's value is too long")
        elif entry is not None and type(entry) is not bool:
            raise MalformedMessage("a hello holds integers, strings, bytes, booleans or nil")
    return Hello(value)


def _neighbours(value: Any) -> Neighbours:
    if type(value) is not list or len(value) > NEIGHBOURS_MAX:
        raise MalformedMessage(f"a list of neighbours has at most {NEIGHBOURS_MAX} entries")
    return Neighbours(tuple(_neighbour(entry) for entry in value))


def _neighbour(entry: Any) -> tuple[NodeId, str]:
    if type(entry) is not list or len(entry) != 2:
        raise MalformedMessage("a neighbour is a pair of id and address")
    node_id, address = entry
    if type(node_id) is not bytes or len(node_id) != NODE_ID_BYTES:
        raise MalformedMessage(f"a node id has {NODE_ID_BYTES} bytes")
    if address != "":
        check_address(address)
    return NodeId(node_id), address


def check_address(value: Any) -> str:
    """A ``host:port`` that somebody else told us. Raises MalformedMessage."""
    if type(value) is not str or len(value) > TEXT_BYTES_MAX or not (value.isascii() and value.isprintable()):
        raise MalformedMessage("an address is a short ASCII string")
    try:
        split_address(value)
    except ValueError as error:
        raise MalformedMessage(str(error)) from error
    return value


_DECODERS: Final[dict[int, tuple[int, Callable[..., Message]]]] = {
    0: (1, _hello),
    1: (0, Ready),
    2: (1, lambda reason: Goodbye(_text(reason))),
    3: (1, lambda number: Ping(_number(number))),
    4: (1, lambda number: Pong(_number(number))),
    5: (1, _neighbours),
    6: (2, lambda topic, payload: Direct(_name(topic), _payload(payload))),
    7: (2, lambda topic, payload: Push(_name(topic), _payload(payload))),
    8: (2, lambda topic, ids: Announce(_name(topic), _ids(ids))),
    9: (1, lambda ids: Fetch(_ids(ids))),
    10: (3, lambda number, name, payload: Request(_number(number), _name(name), _payload(payload))),
    11: (2, lambda number, payload: Response(_number(number), _payload(payload))),
    12: (2, lambda number, reason: Refusal(_number(number), _text(reason))),
}
