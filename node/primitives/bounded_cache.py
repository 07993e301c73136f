"""A bounded map for what can be computed again: the one cache of evmesh."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any, Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class BoundedCache(Generic[K, V]):
    """Keeps between half and all of ``entries_max`` entries, the recently used ones. Values are never None.

    Where entries differ much in size, ``weigh`` says how many each counts for; a single heavy one is kept too.

    Two generations instead of a chain: when the young one is full the old one is dropped, and a hit in the
    old one moves the entry up. Every step is one dict operation, so that threads may share a cache: at worst
    an entry is forgotten early.
    """

    __slots__ = ("_half", "_old", "_weigh", "_weight", "_young")

    def __init__(self, entries_max: int, weigh: Callable[[V], int] | None = None) -> None:
        self._half = max(entries_max // 2, 1)
        self._weigh = weigh
        self._weight = 0
        """Of the young ones; entries that were put twice or dropped count on."""
        self._young: dict[K, V] = {}
        self._old: dict[K, V] = {}

    def get(self, key: K) -> V | None:
        """The value, or None where it is not (any longer) kept."""
        value = self._young.get(key)
        if value is None:
            value = self._old.get(key)
            if value is not None:
                self.put(key, value)
        return value

    def put(self, key: K, value: V) -> None:
        """Keep ``value``."""
        young = self._young
        weigh = self._weigh
        if (len(young) if weigh is None else self._weight) >= self._half:
            self._old = young
            self._young = young = {}
            self._weight = 0
        young[key] = value
        if weigh is not None:
            self._weight += weigh(value)

    def put_all(self, values: Mapping[Any, V]) -> None:
        """Keep many at once; of more than the half that is kept, the last. Not where entries are weighed."""
        assert self._weigh is None, "what is weighed is put one by one"
        if len(self._young) + len(values) > self._half:
            self._old, self._young = self._young, {}
            if len(values) > self._half:
                values = dict(islice(values.items(), len(values) - self._half, None))
        self._young.update(values)

    def drop(self, key: K) -> None:
        """Forget one entry, whether it is kept or not."""
        self._young.pop(key, None)
        self._old.pop(key, None)

    def __len__(self) -> int:
        """Entries kept, those in both generations counted twice."""
        return len(self._young) + len(self._old)
