"""MemoryDatabase and LmdbDatabase are the same thing, whatever is done to them, and over restarts."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from node.storage import lmdb_database
from node.storage.database import Batch, MemoryDatabase
from node.storage.lmdb_database import LmdbDatabase

keys = st.lists(st.sampled_from([0x00, 0x01, 0x61, 0xFE, 0xFF]), min_size=1, max_size=3).map(bytes)
parts = st.lists(st.sampled_from([0x00, 0x01, 0x61, 0xFE, 0xFF]), max_size=2).map(bytes)
values = st.one_of(st.binary(max_size=3), st.sampled_from([3_000, 40_000]).map(bytes))
entries = st.lists(st.tuples(keys, st.one_of(st.none(), values)), max_size=6)


class Twins(RuleBasedStateMachine):
    """Every rule is done to both; every answer is compared."""

    def __init__(self) -> None:
        super().__init__()
        self.path = Path(tempfile.mkdtemp(prefix="evmesh-twins-"))
        self.memory = MemoryDatabase()
        self.lmdb = LmdbDatabase(self.path, map_size=1 << 16)

    def teardown(self) -> None:
        self.lmdb.close()
        shutil.rmtree(self.path)

    @rule(changes=entries, durable=st.booleans())
    def write(self, changes: list[tuple[bytes, bytes | None]], durable: bool) -> None:
        batch = Batch()
        for key, value in changes:
            if value is None:
                batch.delete(key)
            else:
                batch.put(key, value)
        self.memory.write(batch, durable)
        self.lmdb.write(batch, durable)

    @rule(key=st.one_of(keys, st.just(b"")))
    def get(self, key: bytes) -> None:
        assert self.lmdb.get(key) == self.memory.get(key)

    @rule(some=st.lists(keys, max_size=4))
    def get_many(self, some: list[bytes]) -> None:
        assert self.lmdb.get_many(some) == self.memory.get_many(some)

    @rule(prefix=parts, start=parts, reverse=st.booleans())
    def iterate(self, prefix: bytes, start: bytes, reverse: bool) -> None:
        assert list(self.lmdb.iterate(prefix, start, reverse)) == list(self.memory.iterate(prefix, start, reverse))

    @rule()
    def restart(self) -> None:
        self.lmdb.close()
        self.lmdb = LmdbDatabase(self.path, map_size=1 << 16)

    @invariant()
    def same_content(self) -> None:
        assert list(self.lmdb.iterate(b"")) == list(self.memory.iterate(b""))


class TwinsInSmallPortions(Twins):
    """The same with portions of two pairs, so that every iteration goes over several."""

    def __init__(self) -> None:
        super().__init__()
        self.portion = lmdb_database.PORTION
        lmdb_database.PORTION = 2  # type: ignore[misc]

    def teardown(self) -> None:
        lmdb_database.PORTION = self.portion  # type: ignore[misc]
        super().teardown()


TestTwins = Twins.TestCase
TestTwins.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)
TestTwinsInSmallPortions = TwinsInSmallPortions.TestCase
TestTwinsInSmallPortions.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)
