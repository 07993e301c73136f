"""What only the durable tenant can do wrong: files, locks, growth, threads, full disks, damage."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from node.storage import lmdb_database, lmdb_pages
from node.storage.database import Batch, DatabaseCorrupt, DatabaseError, DatabaseFull, DatabaseLocked
from node.storage.lmdb_database import LmdbDatabase


def batch_of(pairs: dict[bytes, bytes | None]) -> Batch:
    batch = Batch()
    for key, value in pairs.items():
        if value is None:
            batch.delete(key)
        else:
            batch.put(key, value)
    return batch


def run_child(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, timeout=60)


def test_survives_closing_and_opening(tmp_path: Path) -> None:
    with LmdbDatabase(tmp_path) as database:
        database.write(batch_of({b"a": b"1"}), durable=True)
        database.write(batch_of({b"b": b"2"}), durable=False)
    with LmdbDatabase(tmp_path) as database:
        assert list(database.iterate(b"")) == [(b"a", b"1"), (b"b", b"2")]
    database.close()


def test_undurable_batches_wait_for_the_next_durable_one(tmp_path: Path) -> None:
    database = LmdbDatabase(tmp_path)
    before = database._environment.info()["last_txnid"]
    database.write(batch_of({b"a": b"1", b"b": b"1"}), durable=False)
    database.write(batch_of({b"a": b"2", b"b": None}), durable=False)
    assert database._environment.info()["last_txnid"] == before
    assert database.get(b"a") == b"2"
    assert database.get(b"b") is None
    assert list(database.iterate(b"", reverse=True)) == [(b"a", b"2")]
    database.write(batch_of({b"c": b"3"}), durable=True)
    assert database._environment.info()["last_txnid"] == before + 1
    assert database._pending == {}
    assert list(database.iterate(b"")) == [(b"a", b"2"), (b"c", b"3")]
    database.close()


def test_a_durable_batch_over_pending_keys_wins(tmp_path: Path) -> None:
    with LmdbDatabase(tmp_path) as database:
        database.write(batch_of({b"a": b"old", b"b": b"kept"}), durable=False)
        database.write(batch_of({b"a": b"new"}), durable=True)
        assert database.get_many([b"a", b"b"]) == [b"new", b"kept"]


def test_no_reader_sees_half_of_a_durable_batch_over_pending_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between LMDB's commit and the emptying of what is pending, a reader sees both layers."""
    seen: list[list[bytes | None]] = []
    extend = lmdb_pages.extend_to_last_page

    def looked(directory: Path, environment: object) -> None:
        extend(directory, environment)
        seen.append(database.get_many([b"a", b"b"]))
        seen.append([value for _, value in database.iterate(b"")])

    with LmdbDatabase(tmp_path) as database:
        database.write(batch_of({b"a": b"0", b"b": b"0"}), durable=True)
        database.write(batch_of({b"a": b"1"}), durable=False)
        monkeypatch.setattr(lmdb_pages, "extend_to_last_page", looked)
        database.write(batch_of({b"a": b"2", b"b": b"2"}), durable=True)
    assert seen
    assert all(both in ([b"1", b"0"], [b"2", b"2"]) for both in seen)


def test_undurable_batches_do_not_pile_up(tmp_path: Path) -> None:
    with LmdbDatabase(tmp_path) as database:
        for index in range(20):
            database.write(batch_of({b"%d" % index: bytes(1 << 20)}), durable=False)
        assert len(database._pending) < 10
        assert len(list(database.iterate(b""))) == 20


def test_an_empty_durable_batch_makes_what_is_pending_durable(tmp_path: Path) -> None:
    with LmdbDatabase(tmp_path) as database:
        database.write(batch_of({b"a": b"1"}), durable=False)
        database.write(Batch(), durable=True)
        assert database._pending == {}
        assert database.get(b"a") == b"1"


def test_the_map_grows(tmp_path: Path) -> None:
    pairs: dict[bytes, bytes | None] = {index.to_bytes(4, "big"): bytes(1_000) for index in range(2_000)}
    with LmdbDatabase(tmp_path, map_size=1 << 16) as database:
        database.write(batch_of(pairs), durable=True)
        database.write(batch_of({b"big": bytes(20 << 20)}), durable=True)
        assert database._environment.info()["map_size"] > 20 << 20
    with LmdbDatabase(tmp_path, map_size=1 << 16) as database:
        assert sum(1 for _ in database.iterate(b"\x00")) == 2_000
        database.write(batch_of({b"more": bytes(20 << 20)}), durable=True)
        assert database.get(b"more") == bytes(20 << 20)


def test_a_map_that_may_not_grow_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with LmdbDatabase(tmp_path, map_size=1 << 16) as database:
        database.write(batch_of({b"a": b"1"}), durable=True)
        monkeypatch.setattr(lmdb_database, "MAP_BYTES_MAX", 1 << 20)
        with pytest.raises(DatabaseFull, match="would exceed"):
            database.write(batch_of({b"b": bytes(2 << 20), b"c": b"3"}), durable=True)
        assert list(database.iterate(b"")) == [(b"a", b"1")]
        database.write(batch_of({b"c": b"3"}), durable=True)
        assert database.get(b"c") == b"3"


def test_the_map_grows_under_an_open_iterator(tmp_path: Path) -> None:
    with LmdbDatabase(tmp_path, map_size=1 << 16) as database:
        database.write(batch_of({b"n%03d" % index: b"v" for index in range(600)}), durable=True)
        iterator = database.iterate(b"n")
        first = [next(iterator) for _ in range(10)]
        database.write(batch_of({b"big": bytes(4 << 20)}), durable=True)
        assert len(first) + len(list(iterator)) == 600


def test_readers_in_threads_while_the_writer_grows_the_map(tmp_path: Path) -> None:
    """Each batch holds the same number under many keys: a reader must never see two numbers."""
    keys = [b"k%02d" % index for index in range(40)]
    stop = threading.Event()
    problems: list[object] = []

    def read() -> None:
        while not stop.is_set():
            try:
                values = database.get_many(keys)
                if len({value[:4] for value in values if value is not None}) > 1:
                    problems.append("a batch was seen in half")
                database.get(keys[0])
                list(database.iterate(b"k", reverse=True))
            except Exception as error:
                problems.append(error)
                return

    with LmdbDatabase(tmp_path, map_size=1 << 16) as database:
        threads = [threading.Thread(target=read) for _ in range(3)]
        for thread in threads:
            thread.start()
        for number in range(60):
            value = number.to_bytes(4, "big") * (50 * number + 1)
            database.write(batch_of(dict.fromkeys(keys, value)), durable=number % 3 != 0)
        stop.set()
        for thread in threads:
            thread.join()
    assert problems == []


def test_one_directory_one_owner(tmp_path: Path) -> None:
    with LmdbDatabase(tmp_path):
        with pytest.raises(DatabaseLocked, match="in use by another process"):
            LmdbDatabase(tmp_path)
        child = run_child(
            "import sys; from pathlib import Path; from node.storage.lmdb_database import LmdbDatabase\n"
            "LmdbDatabase(Path(sys.argv[1]))",
            str(tmp_path),
        )
        assert child.returncode != 0
        assert "DatabaseLocked" in child.stderr
        assert "in use by another process (pid" in child.stderr
    LmdbDatabase(tmp_path).close()


def test_a_closed_database_says_so(tmp_path: Path) -> None:
    database = LmdbDatabase(tmp_path)
    database.write(batch_of({b"a": b"1"}), durable=True)
    database.close()
    for action in (
        lambda: database.get(b"a"),
        lambda: database.get_many([b"a"]),
        lambda: list(database.iterate(b"")),
        lambda: database.write(Batch(), durable=True),
    ):
        with pytest.raises(DatabaseError, match="closed"):
            action()


def test_a_full_disk_is_reported_and_leaves_nothing_of_the_batch(tmp_path: Path) -> None:
    """RLIMIT_FSIZE stands in for the full disk: writes behind it fail the same way, with another errno."""
    child = run_child(
        """
import resource, signal, sys
from pathlib import Path
from node.storage.database import Batch, DatabaseFull
from node.storage.lmdb_database import LmdbDatabase
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
database = LmdbDatabase(Path(sys.argv[1]))
first = Batch(); first.put(b"first", b"1")
database.write(first, durable=True)
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, resource.RLIM_INFINITY))
large = Batch()
for index in range(3000):
    large.put(b"%05d" % index, bytes(1000))
try:
    database.write(large, durable=True)
except DatabaseFull as error:
    print("full:", error)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
assert [key for key, _ in database.iterate(b"")] == [b"first"]
database.write(large, durable=True)
database.close()
""",
        str(tmp_path),
    )
    assert child.returncode == 0, child.stderr
    assert child.stdout.startswith("full:")
    with LmdbDatabase(tmp_path) as database:
        assert sum(1 for _ in database.iterate(b"")) == 3001


def build(path: Path) -> None:
    with LmdbDatabase(path) as database:
        for part in range(4):
            pairs: dict[bytes, bytes | None] = {
                b"%05d" % index: bytes(100 + 40 * (index % 100)) for index in range(part, 1000, 4)
            }
            database.write(batch_of(pairs), durable=True)


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "data.mdb").write_bytes(b"not a database at all\n" * 1000)
    with pytest.raises(DatabaseCorrupt, match="damaged"):
        LmdbDatabase(tmp_path)
    with pytest.raises(DatabaseCorrupt, match="damaged"):
        LmdbDatabase(tmp_path)  # and the directory was not left locked


@pytest.mark.parametrize("parts", [1, 8, 32, 63])
def test_a_file_that_was_cut_short(tmp_path: Path, parts: int) -> None:
    build(tmp_path)
    data = tmp_path / "data.mdb"
    size = data.stat().st_size
    with data.open("r+b") as file:
        file.truncate(size * parts // 64 & ~4095)
    with pytest.raises(DatabaseCorrupt, match="damaged"):
        LmdbDatabase(tmp_path)


def test_pages_of_the_tree_overwritten(tmp_path: Path) -> None:
    """In a child: what LMDB makes of a damaged page is not for this process to find out."""
    build(tmp_path)
    data = tmp_path / "data.mdb"
    size = data.stat().st_size
    with data.open("r+b") as file:
        file.seek(8192)
        file.write(bytes(size - 8192))
    child = run_child(
        """
import sys
from pathlib import Path
from node.storage.database import DatabaseCorrupt
from node.storage.lmdb_database import LmdbDatabase
database = LmdbDatabase(Path(sys.argv[1]))
for read in (lambda: database.get(b"00001"), lambda: database.get_many([b"1"]), lambda: list(database.iterate(b"0"))):
    try:
        read()
    except DatabaseCorrupt as error:
        print(error)
""",
        str(tmp_path),
    )
    assert child.returncode == 0, child.stderr
    assert child.stdout.count("the database is damaged") == 3


def test_root_pages_overwritten(tmp_path: Path) -> None:
    build(tmp_path)
    with (tmp_path / "data.mdb").open("r+b") as file:
        file.write(bytes(8192))
    with pytest.raises(DatabaseCorrupt, match="damaged"):
        LmdbDatabase(tmp_path)


def test_a_file_that_ends_before_pages_nobody_needs_is_sound(tmp_path: Path) -> None:
    """The last pages can be free ones that were never written; the file is made long enough again."""
    build(tmp_path)
    data = tmp_path / "data.mdb"
    size = data.stat().st_size
    with data.open("r+b") as file:
        for root_page in (0, 4096):  # both roots: the tree believes to have three pages more
            file.seek(root_page + 16 + 24 + 2 * 48)
            last_page = int.from_bytes(file.read(8), "little")
            file.seek(-8, 1)
            file.write((last_page + 3).to_bytes(8, "little"))
    with LmdbDatabase(tmp_path) as database:
        assert data.stat().st_size >= size + 2 * 4096
        assert sum(1 for _ in database.iterate(b"")) == 1000
