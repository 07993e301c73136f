"""Snapshots of stopped networks, and archives that somebody else has made."""

import io
import json
import stat
import tarfile

import pytest

from network import snapshot
from network.cluster import run_directory
from network.failures import BadInput, Busy
from node.storage.database import Batch
from node.storage.lmdb_database import LmdbDatabase


@pytest.fixture
def saved(make_run, tmp_path):
    """A network whose first node has a database, saved."""
    run = make_run("first", nodes=3)
    with LmdbDatabase(run.database_dir("n0")) as database:
        batch = Batch()
        batch.put(b"x", b"content")
        database.write(batch, durable=True)
    snapshot.save(run, tmp_path / "file")
    return run, tmp_path / "file"


def test_what_was_saved_comes_back_elsewhere(saved):
    run, file = saved
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    again = snapshot.load(file, None, 0, 0)
    assert again.name == "first-2"
    before, after = run.network(), again.network()
    assert [node.node_id for node in after.nodes] == [node.node_id for node in before.nodes]
    assert not {node.http_port for node in after.nodes} & {node.http_port for node in before.nodes}
    for node in after.nodes:
        text = again.config_file(node.name).read_text()
        assert f"port = {node.http_port}\n" in text
        assert f':{node.p2p_port}"' in text
        assert text.count("evmesh://") == 2
        assert stat.S_IMODE((again.node_dir(node.name) / "node.key").stat().st_mode) == 0o600
        assert (again.node_dir(node.name) / "validator.key").read_text() == (
            run.node_dir(node.name) / "validator.key"
        ).read_text()
    with LmdbDatabase(again.database_dir("n0")) as database:
        assert database.get(b"x") == b"content"
    assert again.genesis_file.read_bytes() == run.genesis_file.read_bytes()


def test_nothing_is_written_over(saved):
    run, file = saved
    with pytest.raises(BadInput, match="exists already"):
        snapshot.save(run, file)
    with pytest.raises(Busy, match="first exists already"):
        snapshot.load(file, "first", 0, 0)


def archive(path, members):
    """An archive of these (member, content)."""
    with tarfile.open(path, "w:gz") as file:
        for member, content in members:
            if isinstance(member, str):
                member = tarfile.TarInfo(member)
            member.size = len(content)
            file.addfile(member, io.BytesIO(content))
    return path


ABOUT = ("snapshot.json", json.dumps({"format": 1, "name": "evil", "saved_ms": 0, "heads": {}}).encode())


def link(name, target):
    member = tarfile.TarInfo(name)
    member.type, member.linkname = tarfile.SYMTYPE, target
    return member


@pytest.mark.parametrize(
    ("member", "words"),
    [
        ("../../outside", "which no snapshot has"),
        ("/etc/outside", "which no snapshot has"),
        ("n0/../../outside", "which no snapshot has"),
        ("n0/run.sh", "which no snapshot has"),
        ("links.json", "which no snapshot has"),
        (link("n0/node.key", "/etc/passwd"), "which no snapshot has"),
        (link("n0", "/tmp"), "which no snapshot has"),
    ],
)
def test_a_crafted_archive_writes_nowhere_else(tmp_path, state_home, member, words):
    file = archive(tmp_path / "file", [ABOUT, (member, b"x" if isinstance(member, str) else b"")])
    with pytest.raises(BadInput, match=words):
        snapshot.load(file, None, 0, 0)
    assert [run.name for run in run_directory.all_runs()] == []
    assert not list(state_home.glob("*"))


def test_a_file_that_comes_twice_is_refused(tmp_path):
    file = archive(tmp_path / "file", [ABOUT, ("n0/node.key", b"1"), ("n0/node.key", b"2")])
    with pytest.raises(BadInput, match="twice"):
        snapshot.load(file, None, 0, 0)


def test_bounds(tmp_path, monkeypatch):
    monkeypatch.setattr(snapshot, "SMALL_BYTES_MAX", 10)
    file = archive(tmp_path / "file", [ABOUT, ("genesis.json", b"x" * 11)])
    with pytest.raises(BadInput, match="at most 10"):
        snapshot.load(file, None, 0, 0)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"no archive", "cannot be read"),
        ([("n0/node.key", b"1")], "no snapshot of a network"),
        ([("snapshot.json", b"{}")], "no snapshot of a network"),
        ([("snapshot.json", b'{"format": 9, "name": "x"}')], "has format 9"),
        ([ABOUT], "cannot be used"),
    ],
)
def test_other_files_are_refused(tmp_path, content, words):
    file = tmp_path / "file"
    if isinstance(content, bytes):
        file.write_bytes(content)
    else:
        archive(file, content)
    with pytest.raises(Exception, match=words):
        snapshot.load(file, None, 0, 0)
    assert run_directory.all_runs() == []
