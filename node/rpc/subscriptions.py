"""eth_subscribe: news pushed over a connection that stays open. No sockets here; websocket.py carries the bytes.

    feed, pool --Broadcast--> Session (one a connection: its subscriptions, its bounded outbox) --> socket

A header or transaction is encoded once, however many listen. A client that reads too slowly is cut off: its
outbox is bounded, and silently skipping news would be worse than a closed connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

import orjson

from node.chain.feed import NewHead, News
from node.primitives.hexadecimal import to_data, to_quantity
from node.rpc import encoding
from node.rpc.backend import ChainReads, Pool, RpcLimits
from node.rpc.errors import LIMIT_EXCEEDED, METHOD_NOT_FOUND, RpcError, refused
from node.rpc.log_criteria import LogCriteria, log_criteria
from node.rpc.log_search import encoded_log
from node.rpc.methods import Method, MethodTable
from node.rpc.parameters import ParameterError, parse
from node.runtime.runtime import Runtime
from node.types.blocks import Block
from node.types.transactions import Transaction

OUTBOX_MESSAGES_MAX: Final = 16_384
OUTBOX_BYTES_MAX: Final = 64 * 1024 * 1024


class Topic(StrEnum):
    """What can be subscribed to."""

    HEADS = "newHeads"
    LOGS = "logs"
    PENDING = "newPendingTransactions"
    SYNCING = "syncing"


@dataclass(frozen=True, slots=True)
class Subscription:
    """One wish of one connection."""

    topic: Topic
    criteria: LogCriteria | None = None
    full: bool = False


class Outbox:
    """Messages on their way to one client, bounded in number and bytes."""

    def __init__(self) -> None:
        self._messages: asyncio.Queue[bytes] = asyncio.Queue()
        self._bytes = 0
        self.overflowed = asyncio.Event()

    def put(self, message: bytes) -> None:
        """Queue a message; once there is no room, nothing more goes in and ``overflowed`` is set."""
        if self._messages.qsize() >= OUTBOX_MESSAGES_MAX or self._bytes + len(message) > OUTBOX_BYTES_MAX:
            self.overflowed.set()
        if not self.overflowed.is_set():
            self._messages.put_nowait(message)
            self._bytes += len(message)

    async def get(self) -> bytes:
        """The next message."""
        message = await self._messages.get()
        self._bytes -= len(message)
        return message


class Session:
    """One connection's subscriptions, and the methods that only it has."""

    def __init__(self, runtime: Runtime, limits: RpcLimits) -> None:
        self.outbox = Outbox()
        self.subscriptions: dict[str, Subscription] = {}
        self._entropy = runtime.entropy
        self._subscriptions_max = limits.subscriptions_max
        self.methods: Mapping[str, Method] = {method.name: _bound(method, self) for method in METHODS}

    def add(self, wanted: Subscription) -> str:
        """A new subscription's id."""
        if len(self.subscriptions) >= self._subscriptions_max:
            raise RpcError(LIMIT_EXCEEDED, f"too many subscriptions (at most {self._subscriptions_max})")
        key = to_quantity(int.from_bytes(b"\x01" + self._entropy(15), "big"))
        self.subscriptions[key] = wanted
        return key

    def notify(self, key: str, result: bytes) -> None:
        """Send one piece of news (already JSON) to one subscription."""
        self.outbox.put(
            b'{"jsonrpc":"2.0","method":"eth_subscription","params":{"subscription":"'
            + key.encode()
            + b'","result":'
            + result
            + b"}}"
        )


def _bound(method: Method, session: Session) -> Method:
    """The method with the session in the place of the api."""
    function = method.function
    return replace(method, function=lambda _, *arguments: function(session, *arguments))


class Anything:
    """A parameter whose form depends on another one."""


METHODS: Final = MethodTable({Anything: lambda value: value})


@METHODS.method("eth_subscribe")
def subscribe(session: Session, topic: str, options: Anything | None = None) -> str:
    """Begin to be told about new heads, logs, pending transactions or catching up; the answer is the id."""
    if topic not in Topic._value2member_map_:
        raise RpcError(METHOD_NOT_FOUND, f'no "{topic[:40]}" subscription in eth namespace')
    kind = Topic(topic)
    if kind is Topic.LOGS:
        return session.add(Subscription(kind, criteria=parse(log_criteria, {} if options is None else options, 1)))
    return session.add(Subscription(kind, full=parse(_full, options, 1)))


def _full(options: object) -> bool:
    """Whole transactions instead of hashes: a boolean, or an object from clients that pass options to everything."""
    if options is None or isinstance(options, dict):
        return False
    if not isinstance(options, bool):
        raise ParameterError("expected a boolean")
    return options


@METHODS.method("eth_unsubscribe")
def unsubscribe(session: Session, key: str) -> bool:
    """End one subscription of this connection."""
    if session.subscriptions.pop(key, None) is None:
        raise refused("subscription not found")
    return True


class Broadcast:
    """Carries news to all sessions."""

    def __init__(self, chain: ChainReads, pool: Pool, syncing: Callable[[], object]) -> None:
        """``syncing``: what eth_syncing answers."""
        self._chain = chain
        self._pool = pool
        self._syncing = syncing
        self._was_syncing = False
        self._sessions: dict[int, Session] = {}
        self._next = 0
        self._unsubscribe: Callable[[], None] = chain.feed.subscribe(self._on_news)
        pool.on_added.append(self._on_added)

    def close(self) -> None:
        """Stop listening."""
        self._unsubscribe()
        if self._on_added in self._pool.on_added:
            self._pool.on_added.remove(self._on_added)
        self._sessions.clear()

    def join(self, session: Session) -> Callable[[], None]:
        """Tell ``session`` from now on; returns the function that ends it."""
        key = self._next
        self._next += 1
        self._sessions[key] = session

        def leave() -> None:
            self._sessions.pop(key, None)

        return leave

    def _listening(self, topic: Topic) -> list[tuple[Session, str, Subscription]]:
        return [
            (session, key, wanted)
            for session in self._sessions.values()
            for key, wanted in session.subscriptions.items()
            if wanted.topic is topic
        ]

    def _on_news(self, news: News) -> None:
        if not isinstance(news, NewHead):
            return
        logs = self._listening(Topic.LOGS)
        for block in news.removed:
            self._tell_logs(logs, block, removed=True)
        heads = self._listening(Topic.HEADS)
        for block in news.added:
            if heads:
                told = orjson.dumps(encoding.header(block.header))
                for session, key, _ in heads:
                    session.notify(key, told)
            self._tell_logs(logs, block, removed=False)
        self._tell_syncing()

    def _tell_syncing(self) -> None:
        """Catching up goes by blocks, so its beginning and its end are seen when one comes (geth's form)."""
        listening = self._listening(Topic.SYNCING)
        if not listening:
            return
        facts = self._syncing()
        if bool(facts) == self._was_syncing:
            return
        self._was_syncing = bool(facts)
        told = orjson.dumps({"syncing": True, "status": facts} if facts else False)
        for session, key, _ in listening:
            session.notify(key, told)

    def _tell_logs(self, listening: list[tuple[Session, str, Subscription]], block: Block, removed: bool) -> None:
        for session, key, wanted in listening:
            assert wanted.criteria is not None, "log subscriptions have criteria"
            for found in self._chain.logs_of_block(block.header, wanted.criteria.wanted):
                session.notify(key, orjson.dumps(encoded_log(found, removed)))

    def _on_added(self, tx: Transaction, local: bool) -> None:
        listening = self._listening(Topic.PENDING)
        if not listening:
            return
        short = orjson.dumps(to_data(tx.hash))
        whole = orjson.dumps(encoding.pending_transaction(tx)) if any(w.full for _, _, w in listening) else short
        for session, key, wanted in listening:
            session.notify(key, whole if wanted.full else short)
