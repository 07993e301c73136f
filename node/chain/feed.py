"""News rises here: whoever stands above chain subscribes; chain never learns who.

Callbacks are plain functions, called in the order of subscription, on the event loop, after the news is durable.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from node.primitives.scalars import Address
from node.types.blocks import Block, Header


@dataclass(frozen=True, slots=True)
class NewHead:
    """The head moved. ``removed`` runs from the old head down, ``added`` from the fork point up; both may be empty."""

    header: Header
    added: tuple[Block, ...]
    removed: tuple[Block, ...]
    changed: tuple[Address, ...] | None = None
    """Every account whose nonce, balance, code or storage differs; None where that is not at hand."""


@dataclass(frozen=True, slots=True)
class Finalized:
    """The finalized mark moved up to ``header``."""

    header: Header


@dataclass(frozen=True, slots=True)
class Executed:
    """A block was executed, or ``built`` here, in so many milliseconds; nothing says yet that it will be head."""

    header: Header
    transactions: int
    elapsed_ms: int
    built: bool


News: TypeAlias = NewHead | Finalized | Executed


class Feed:
    """Publish to subscribers."""

    def __init__(self) -> None:
        self._subscribers: dict[int, Callable[[News], None]] = {}
        self._next = 0

    def subscribe(self, callback: Callable[[News], None]) -> Callable[[], None]:
        """Call ``callback`` with each piece of news; returns the function that ends it."""
        key = self._next
        self._next += 1
        self._subscribers[key] = callback

        def unsubscribe() -> None:
            self._subscribers.pop(key, None)

        return unsubscribe

    def publish(self, news: News) -> None:
        """Tell every subscriber, in order of subscription."""
        for callback in list(self._subscribers.values()):
            callback(news)
