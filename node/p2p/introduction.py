"""The first words inside the encrypted channel: each side's hello, and whether the other will have it.

hello ──▶            each side says who it is and which chain it is on,
◀── hello            judges the other's hello,
ready / goodbye ──▶  and says so: a refusal carries its reason,
◀── ready / goodbye  so that both logs tell it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NoReturn

from node.p2p.session import OVERHEAD_BYTES, Session
from node.p2p.wire import (
    HELLO_BYTES_MAX,
    Goodbye,
    Hello,
    HelloValue,
    MalformedMessage,
    Message,
    Ready,
    clip,
    decode_frame,
    encode,
    frame_of,
)

PART_MS: Final = 250
"""How long a peer that is turned away may take to hear why."""


class Refused(Exception):
    """We do not want this peer; it has been told why."""


class RefusedByPeer(Exception):
    """The peer does not want us, and says why."""


async def introduce(
    session: Session, ours: dict[str, HelloValue], judge: Callable[[dict[str, HelloValue]], str | None]
) -> dict[str, HelloValue]:
    """Exchange hellos; the other's. Raises Refused, RefusedByPeer, MalformedMessage, ConnectionLost, SessionBroken."""
    await _say(session, Hello(ours))
    theirs = await _hear(session)
    if not isinstance(theirs, Hello):
        raise MalformedMessage("the first message must be a hello")
    refusal = judge(theirs.fields)
    if refusal is not None:
        await refuse(session, refusal)
    await _say(session, Ready())
    if not isinstance(await _hear(session), Ready):
        raise MalformedMessage("the second message must be ready or goodbye")
    return theirs.fields


async def refuse(session: Session, reason: str) -> NoReturn:
    """Turn a peer away, telling it why. Raises Refused."""
    await session.part(frame_of([encode(Goodbye(clip(reason)))]), PART_MS)
    raise Refused(reason)


async def _say(session: Session, message: Message) -> None:
    await session.send(frame_of([encode(message)]))


async def _hear(session: Session) -> Message:
    messages = decode_frame(await session.receive(HELLO_BYTES_MAX + OVERHEAD_BYTES))
    if len(messages) != 1:
        raise MalformedMessage("during the introduction each message has a frame of its own")
    if isinstance(messages[0], Goodbye):
        raise RefusedByPeer(messages[0].reason)
    return messages[0]
