"""Pages of the map that nobody needs in memory."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import pytest

from node.storage import lmdb_map
from node.storage.database import Batch
from node.storage.lmdb_database import LmdbDatabase

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process about its maps")
MB = 2**20
VALUE = bytes(range(250)) * 16


def filled(path: Path, count: int = 4_000) -> LmdbDatabase:
    """16 MB, all of them read once."""
    database = LmdbDatabase(path)
    batch = Batch()
    for number in range(count):
        batch.put(number.to_bytes(4, "big"), VALUE)
    database.write(batch, durable=True)
    assert sum(1 for _ in database.iterate(b"")) == count
    return database


def test_a_write_lets_go_of_pages_when_they_are_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "real", target_is_directory=True)
    (tmp_path / "real").mkdir()
    monkeypatch.setattr(lmdb_map.let_go, "__defaults__", (2**40,))  # whatever else this process has mapped
    database = filled(tmp_path / "link")
    held = lmdb_map.mapped_bytes()
    more = Batch()
    more.put(b"more", b"1")
    database.write(more, durable=True)
    assert lmdb_map.mapped_bytes() > held - 4 * MB  # not too many yet
    monkeypatch.setattr(lmdb_map.let_go, "__defaults__", (held - 8 * MB,))
    database.write(more, durable=True)
    assert lmdb_map.mapped_bytes() < held - 8 * MB
    assert database.get((3_999).to_bytes(4, "big")) == VALUE
    database.close()


def test_readers_do_not_notice(tmp_path: Path) -> None:
    database = filled(tmp_path, 1_000)
    wrong: list[int] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            wrong.extend(number for number in range(1_000) if database.get(number.to_bytes(4, "big")) != VALUE)

    reader = threading.Thread(target=read)
    reader.start()
    let_go = [lmdb_map.let_go((tmp_path / "data.mdb").resolve(), 0) for _ in range(200)]
    done.set()
    reader.join()
    assert all(let_go)
    assert not wrong
    database.close()


def test_other_maps_are_not_touched(tmp_path: Path) -> None:
    database = filled(tmp_path)
    held = lmdb_map.mapped_bytes()
    assert lmdb_map.let_go(tmp_path / "other.mdb", 0) == 0
    assert lmdb_map.let_go((tmp_path / "data.mdb").resolve(), held) == 0
    assert lmdb_map.mapped_bytes() > held - 4 * MB
    database.close()


def test_elsewhere_nothing_happens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lmdb_map, "_libc", lambda: None)
    assert lmdb_map.let_go(tmp_path / "data.mdb", 0) == 0
