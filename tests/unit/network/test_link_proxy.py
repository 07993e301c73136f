"""The links' proxy between real sockets: bytes arrive whole and in order, and a fault does what its name says."""

import asyncio
import time

import pytest

from network.cluster import links
from network.cluster.link_proxy import WAITING_BYTES_MAX, LinkProxy
from network.faults.link_policy import LinkCondition, Loss

GRACE = 5.0


class Node:
    """Listens as a node does, and keeps what it hears."""

    def __init__(self):
        self.connections = asyncio.Queue()

    async def listen(self):
        self.server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self.server.sockets[0].getsockname()[1]

    async def _accept(self, reader, writer):
        await self.connections.put((reader, writer))


class Pair:
    """n0 has dialled n1: ``near`` is n0's end, ``far`` n1's."""

    def __init__(self, proxy, near, far):
        self.proxy = proxy
        self.near_in, self.near_out = near
        self.far_in, self.far_out = far


@pytest.fixture
async def pair():
    nodes = {"n0": Node(), "n1": Node()}
    wiring = links.choose("127.0.0.1", {name: await node.listen() for name, node in nodes.items()})
    proxy = LinkProxy(wiring, seed=7)
    await proxy.start()
    near = await asyncio.open_connection("127.0.0.1", wiring.ports["n0", "n1"])
    far = await asyncio.wait_for(nodes["n1"].connections.get(), GRACE)
    made = Pair(proxy, near, far)
    made.nodes = nodes
    yield made
    for writer in (near[1], far[1]):
        writer.close()
    proxy.stop()
    for node in nodes.values():
        node.server.close()


async def heard(reader, count):
    return await asyncio.wait_for(reader.readexactly(count), GRACE)


async def nothing_heard(reader):
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.readexactly(1), 0.1)


async def test_bytes_pass_both_ways(pair):
    pair.near_out.write(b"to n1")
    pair.far_out.write(b"to n0")
    assert await heard(pair.far_in, 5) == b"to n1"
    assert await heard(pair.near_in, 5) == b"to n0"


async def test_a_hangup_passes_after_the_last_bytes(pair):
    pair.near_out.write(b"goodbye")
    pair.near_out.close()
    assert await asyncio.wait_for(pair.far_in.read(), GRACE) == b"goodbye"


async def test_nobody_listening_is_heard_by_the_dialler(pair):
    pair.nodes["n0"].server.close()
    reader, writer = await asyncio.open_connection("127.0.0.1", pair.proxy.wiring.ports["n1", "n0"])
    with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
        await asyncio.wait_for(reader.readexactly(1), GRACE)
    writer.close()


async def test_a_cut_holds_everything_back_until_it_heals(pair):
    pair.proxy.policy.cut("n0", "n1")
    pair.proxy.faults_changed()
    for piece in (b"one ", b"two ", b"three"):
        pair.near_out.write(piece)
        await asyncio.sleep(0.01)
    pair.far_out.write(b"back")
    await nothing_heard(pair.far_in)
    await nothing_heard(pair.near_in)
    pair.proxy.policy.heal()
    pair.proxy.faults_changed()
    assert await heard(pair.far_in, 13) == b"one two three"
    assert await heard(pair.near_in, 4) == b"back"
    pair.near_out.write(b"after")
    assert await heard(pair.far_in, 5) == b"after"


async def test_a_one_way_cut_leaves_the_way_back_open(pair):
    pair.proxy.policy.cut_one_way("n0", "n1")
    pair.proxy.faults_changed()
    pair.near_out.write(b"there")
    pair.far_out.write(b"back")
    assert await heard(pair.near_in, 4) == b"back"
    await nothing_heard(pair.far_in)


async def test_who_dials_into_a_cut_gets_through_when_it_heals(pair):
    pair.proxy.policy.cut("n0", "n1")
    pair.proxy.faults_changed()
    _, writer = await asyncio.open_connection("127.0.0.1", pair.proxy.wiring.ports["n1", "n0"])
    writer.write(b"hello")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(pair.nodes["n0"].connections.get(), 0.1)
    pair.proxy.policy.heal()
    pair.proxy.faults_changed()
    reader, other = await asyncio.wait_for(pair.nodes["n0"].connections.get(), GRACE)
    assert await heard(reader, 5) == b"hello"
    writer.close()
    other.close()


async def test_delay_and_jitter_keep_the_order(pair):
    pair.proxy.policy.set_condition("n0", "n1", LinkCondition(delay_ms=30, jitter_ms=40, loss=0.1, reorder=0.5))
    pair.proxy.faults_changed()
    began = time.monotonic()
    expected = b""
    for number in range(40):
        expected += b"%03d " % number
        pair.near_out.write(b"%03d " % number)
        await asyncio.sleep(0.001)
    assert await heard(pair.far_in, len(expected)) == expected
    assert time.monotonic() - began >= 0.03
    pair.far_out.write(b"the way back is as it was")
    assert (await heard(pair.near_in, 25)).startswith(b"the way back")


async def test_what_a_fault_delayed_comes_at_once_when_it_ends(pair):
    pair.proxy.policy.set_condition("n0", "n1", LinkCondition(delay_ms=60_000))
    pair.proxy.faults_changed()
    pair.near_out.write(b"late")
    await nothing_heard(pair.far_in)
    pair.proxy.policy.mend("n0", "n1")
    pair.proxy.faults_changed()
    pair.near_out.write(b" and on time")
    assert await heard(pair.far_in, 16) == b"late and on time"


async def test_a_narrow_link_carries_so_much_a_second(pair):
    pair.proxy.policy.set_condition("n0", "n1", LinkCondition(delay_ms=0, bandwidth_bytes_per_s=100_000))
    pair.proxy.faults_changed()
    began = time.monotonic()
    pair.near_out.write(b"x" * 20_000)
    await heard(pair.far_in, 20_000)
    assert time.monotonic() - began >= 0.19


async def test_a_sender_has_to_wait_while_too_much_is_under_way(pair):
    pair.proxy.policy.cut("n0", "n1")
    pair.proxy.faults_changed()
    size = 64 * WAITING_BYTES_MAX
    pair.near_out.write(b"x" * size)
    await asyncio.sleep(0.3)
    waiting = sum(half._waiting_bytes for half in pair.proxy._halves)
    assert WAITING_BYTES_MAX <= waiting < 2 * WAITING_BYTES_MAX
    assert pair.near_out.transport.get_write_buffer_size() > 0
    pair.proxy.policy.heal()
    pair.proxy.faults_changed()
    assert len(await asyncio.wait_for(pair.far_in.readexactly(size), 30)) == size


async def test_a_reset_breaks_both_ends(pair):
    pair.proxy.reset("n1", "n0")
    for reader in (pair.near_in, pair.far_in):
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await asyncio.wait_for(reader.readexactly(1), GRACE)


async def test_a_loss_that_resets_breaks_the_connection(pair):
    pair.proxy.policy.set_condition("n0", "n1", LinkCondition(loss=1.0, on_loss=Loss.RESET))
    pair.proxy.faults_changed()
    pair.near_out.write(b"lost")
    with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
        await asyncio.wait_for(pair.far_in.readexactly(4), GRACE)


def test_wiring_on_disk(tmp_path):
    assert links.Wiring.read(tmp_path) is None
    wiring = links.choose("127.0.0.1", {"n0": 1, "n1": 2, "n2": 3})
    wiring.write(tmp_path)
    assert links.Wiring.read(tmp_path) == wiring
    assert len(set(wiring.ports.values())) == 6
    assert wiring.dial_address("n0", "n2") == f"127.0.0.1:{wiring.ports['n0', 'n2']}"
    assert links.choose("127.0.0.1", {"n0": 1}) is None
