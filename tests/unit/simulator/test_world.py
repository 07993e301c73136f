"""Entropy, clocks and disks of simulated nodes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from network.simulator.clocks import START_WALL_MS, SkewedClock
from network.simulator.disk import SimulatedDisk
from network.simulator.entropy import seeded_entropy, seeded_random, stream_key
from network.simulator.event_loop import VirtualTimeLoop
from node.storage.database import Batch, Database, DatabaseFull


def test_entropy_is_one_stream_a_purpose() -> None:
    whole = seeded_entropy(7, "n0", "keys")(200)
    pieces = seeded_entropy(7, "n0", "keys")
    assert b"".join(pieces(size) for size in (1, 0, 63, 64, 72)) == whole
    others = [seeded_entropy(8, "n0", "keys"), seeded_entropy(7, "n1", "keys"), seeded_entropy(7, "n0k", "eys")]
    assert len({whole, *(other(200) for other in others)}) == 4
    assert seeded_entropy(0, "n0")(4).hex() == "cb805817", "the stream must never change: kept seeds rest on it"


def test_streams_of_chance_are_independent() -> None:
    assert stream_key(1, "ab", "c") != stream_key(1, "a", "bc")
    assert seeded_random(1, "x").random() == seeded_random(1, "x").random() != seeded_random(1, "y").random()


def test_clocks_are_off_as_asked() -> None:
    loop = VirtualTimeLoop()
    loop.set_rate("n1", 1000)
    true, ahead = SkewedClock(loop, "n0"), SkewedClock(loop, "n1", offset_ms=-300)
    assert (true.now_ms(), ahead.now_ms(), ahead.monotonic_ms()) == (START_WALL_MS, START_WALL_MS - 300, 0)
    loop.call_later(10, loop.stop)
    loop.run_forever()
    assert true.now_ms() == START_WALL_MS + 10_000
    assert (ahead.now_ms(), ahead.monotonic_ms()) == (START_WALL_MS - 300 + 10_010, 10_010)
    ahead.jump(-5_000)
    assert (ahead.now_ms(), ahead.monotonic_ms()) == (START_WALL_MS - 5_300 + 10_010, 10_010)
    loop.close()


def put(database: Database, key: bytes, value: bytes | None, durable: bool) -> None:
    batch = Batch()
    batch.entries[key] = value
    database.write(batch, durable)


def everything(database: Database) -> dict[bytes, bytes]:
    return dict(database.iterate(b""))


def test_a_killed_process_loses_nothing_and_a_power_cut_does() -> None:
    disk = SimulatedDisk()
    database = disk.open()
    put(database, b"a", b"1", durable=True)
    put(database, b"a", b"2", durable=False)
    disk.crash()
    with pytest.raises(RuntimeError, match="closed"):
        database.get(b"a")
    again = disk.open()
    assert again.get(b"a") == b"2"
    lost = {disk_cut(seed) for seed in range(20)}
    assert lost == {b"1", b"2"}


def disk_cut(seed: int) -> bytes | None:
    disk = SimulatedDisk()
    database = disk.open()
    put(database, b"a", b"1", durable=True)
    put(database, b"a", b"2", durable=False)
    disk.cut_power(seeded_random(seed, "cut"))
    return disk.open().get(b"a")


steps = st.lists(
    st.tuples(st.binary(min_size=1, max_size=2), st.none() | st.binary(max_size=3), st.booleans()), max_size=20
)


@given(steps, st.integers(0, 1000))
def test_a_power_cut_leaves_a_prefix_that_holds_every_durable_write(
    writes: list[tuple[bytes, bytes | None, bool]], seed: int
) -> None:
    disk = SimulatedDisk()
    database = disk.open()
    states: list[dict[bytes, bytes]] = [{}]
    safe = 0
    for number, (key, value, durable) in enumerate(writes, 1):
        put(database, key, value, durable)
        states.append(everything(database))
        safe = number if durable else safe
    lost = disk.cut_power(seeded_random(seed, "cut"))
    kept = everything(disk.open())
    assert len(writes) - lost >= safe
    assert kept == states[len(writes) - lost]
    assert disk.used_bytes == sum(len(key) + len(value) for key, value in kept.items())


def test_a_full_disk_writes_nothing_of_the_batch() -> None:
    disk = SimulatedDisk(capacity_bytes=20)
    database = disk.open()
    put(database, b"a", b"x" * 10, durable=True)
    batch = Batch()
    batch.put(b"b", b"1")
    batch.put(b"c", b"y" * 10)
    with pytest.raises(DatabaseFull, match="11 of 20 bytes"):
        database.write(batch, durable=True)
    assert everything(database) == {b"a": b"x" * 10}
    put(database, b"a", None, durable=True)
    put(database, b"c", b"y" * 10, durable=True)
    assert disk.used_bytes == 11


def test_one_database_at_a_time() -> None:
    disk = SimulatedDisk()
    first = disk.open()
    with pytest.raises(RuntimeError, match="open already"):
        disk.open()
    put(first, b"a", b"1", durable=False)
    first.close()
    first.close()
    assert disk.undurable_batches == 0, "closing syncs"
    assert disk.open().get(b"a") == b"1"


def test_rot_flips_one_bit() -> None:
    disk = SimulatedDisk()
    assert disk.rot(seeded_random(1, "rot")) is None
    database = disk.open()
    put(database, b"a", b"\x00\x00", durable=True)
    assert disk.rot(seeded_random(1, "rot")) == b"a"
    value = database.get(b"a")
    assert value is not None
    assert int.from_bytes(value, "big").bit_count() == 1
