"""What both tenants of the database door promise, in one set of tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from node.storage.database import Batch, Database, MemoryDatabase, prefix_end
from node.storage.lmdb_database import PORTION, LmdbDatabase


@pytest.fixture(params=["memory", "lmdb"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    opened: Database = MemoryDatabase() if request.param == "memory" else LmdbDatabase(tmp_path / "db", 1 << 20)
    yield opened
    opened.close()


def filled(database: Database, pairs: dict[bytes, bytes], durable: bool = True) -> None:
    batch = Batch()
    for key, value in pairs.items():
        batch.put(key, value)
    database.write(batch, durable)


@pytest.mark.parametrize("durable", [True, False])
def test_put_get_delete(database: Database, durable: bool) -> None:
    filled(database, {b"a": b"1", b"b": b""}, durable)
    assert database.get(b"a") == b"1"
    assert database.get(b"b") == b""
    assert database.get(b"c") is None
    assert database.get_many([b"c", b"a", b"b", b""]) == [None, b"1", b"", None]
    batch = Batch()
    batch.delete(b"a")
    batch.delete(b"never there")
    database.write(batch, durable)
    assert database.get(b"a") is None
    assert list(database.iterate(b"")) == [(b"b", b"")]


def test_the_last_entry_for_a_key_wins(database: Database) -> None:
    batch, later = Batch(), Batch()
    batch.put(b"k", b"1")
    batch.delete(b"k")
    batch.put(b"k", b"2")
    later.delete(b"gone")
    batch.put(b"gone", b"x")
    batch.merge(later)
    database.write(batch, True)
    assert list(database.iterate(b"")) == [(b"k", b"2")]
    assert len(batch) == 2


def test_keys_that_lmdb_cannot_hold_are_refused_by_the_batch() -> None:
    batch = Batch()
    for key in (b"", b"x" * 512):
        with pytest.raises(ValueError, match="1 to 511 bytes"):
            batch.put(key, b"v")
        with pytest.raises(ValueError, match="1 to 511 bytes"):
            batch.delete(key)


def test_longest_key_and_a_large_value(database: Database) -> None:
    filled(database, {b"k" * 511: b"v" * 300_000})
    assert database.get(b"k" * 511) == b"v" * 300_000
    assert database.get(b"k" * 512) is None
    assert database.get_many([b"k" * 512, b"k" * 511]) == [None, b"v" * 300_000]


def test_iterate_keeps_to_the_prefix_in_both_directions(database: Database) -> None:
    keys = [b"a", b"b", b"b\x00", b"b\x01", b"b\x01\xff", b"b\xff", b"b\xff\xff", b"c", b"\xff", b"\xff\xff"]
    filled(database, {key: key for key in keys})

    def walked(prefix: bytes, start: bytes = b"", reverse: bool = False) -> list[bytes]:
        return [key for key, _ in database.iterate(prefix, start, reverse)]

    assert walked(b"") == sorted(keys)
    assert walked(b"", reverse=True) == sorted(keys, reverse=True)
    assert walked(b"b") == [b"b", b"b\x00", b"b\x01", b"b\x01\xff", b"b\xff", b"b\xff\xff"]
    assert walked(b"b", b"\x01") == [b"b\x01", b"b\x01\xff", b"b\xff", b"b\xff\xff"]
    assert walked(b"b", b"\x00\x01") == [b"b\x01", b"b\x01\xff", b"b\xff", b"b\xff\xff"]
    assert walked(b"b", b"\x01", reverse=True) == [b"b\x01", b"b\x00", b"b"]
    assert walked(b"b", b"\x01\x00", reverse=True) == [b"b\x01", b"b\x00", b"b"]
    assert walked(b"b", reverse=True) == [b"b\xff\xff", b"b\xff", b"b\x01\xff", b"b\x01", b"b\x00", b"b"]
    assert walked(b"\xff", reverse=True) == [b"\xff\xff", b"\xff"]
    assert walked(b"\xff") == [b"\xff", b"\xff\xff"]
    assert walked(b"zz") == []
    assert walked(b"zz", reverse=True) == []


@pytest.mark.parametrize("count", [PORTION - 1, PORTION, PORTION + 1, 3 * PORTION])
def test_iterate_over_several_portions(database: Database, count: int) -> None:
    pairs = {b"n" + index.to_bytes(4, "big"): b"%d" % index for index in range(count)}
    filled(database, pairs | {b"m": b"", b"o": b""})
    assert list(database.iterate(b"n")) == list(pairs.items())
    assert list(database.iterate(b"n", reverse=True)) == list(reversed(pairs.items()))


def test_writes_during_an_iteration_disturb_nothing_else(database: Database) -> None:
    pairs = {b"n" + index.to_bytes(4, "big"): b"v" * 100 for index in range(3 * PORTION)}
    filled(database, pairs)
    seen = []
    for key, _ in database.iterate(b"n"):
        seen.append(key)
        batch = Batch()
        batch.delete(key)
        batch.put(b"z" + key, b"x" * 2_000)
        database.write(batch, durable=False)
    assert seen == list(pairs)
    assert list(database.iterate(b"n")) == []


def test_prefix_end() -> None:
    assert prefix_end(b"a") == b"b"
    assert prefix_end(b"a\xff") == b"b"
    assert prefix_end(b"\xff\xff") is None
    assert prefix_end(b"") is None
