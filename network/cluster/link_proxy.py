"""The links themselves: loopback listeners that carry bytes both ways, as the link policy says.

    n0 ──dial──▶ port of (n0, n1) ══▶ Half n0→n1 ══▶ n1's listener
                                  ◀══ Half n1→n0 ◀══

Without a fault on it a link hands on what it reads at once, in the same turn of the loop. With one, each piece that is
read counts as a frame: the policy says when it arrives. Nothing is ever lost or doubled inside a connection, because
TCP promises that: a lost piece comes later, a cut holds everything back until it heals, and what waits is bounded by
no longer reading.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from functools import partial
from typing import Final

from network.cluster.links import Wiring
from network.faults.link_policy import NS_PER_MS, LinkCondition, LinkPolicy

WAITING_BYTES_MAX: Final = 1024 * 1024
"""Delayed bytes of one direction, beyond which its sender has to wait."""
CONNECT_SECONDS: Final = 3.0

Link = tuple[str, str]


class Half(asyncio.Protocol):
    """One end of a carried connection: what arrives here leaves at ``other``. ``link``: the way it then goes."""

    def __init__(self, proxy: LinkProxy, link: Link, dialled: bool) -> None:
        self._proxy = proxy
        self.dialled = dialled
        """Whether this end was dialled by us (else a node has dialled it)."""
        self.link = link
        self.transport: asyncio.Transport | None = None
        self.other: Half | None = None
        self._waiting: deque[tuple[int, bytes]] = deque()
        self._waiting_bytes = 0
        self._last_ns = 0
        self._timer: asyncio.TimerHandle | None = None
        self._ended = False
        self._held = False
        self._full = False

    # ---- what asyncio tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Somebody is there."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._proxy.opened(self)

    def data_received(self, data: bytes) -> None:
        """Hand on, now or later."""
        if not self._waiting and self.link not in self._proxy.faulty:
            self._pass_on(data)
            return
        self._delay(data)

    def eof_received(self) -> bool:
        """The sender has finished; the other end hears of it after all that waits."""
        self._ended = True
        self._flush_end()
        return True

    def connection_lost(self, error: Exception | None) -> None:
        """Gone: so is the other end, unless something still waits to reach it."""
        self._proxy.closed(self)
        self._ended = True
        if error is not None or self.other is None:
            self.break_off()
        else:
            self._flush_end()

    def pause_writing(self) -> None:
        """This end takes no more: the other end must not read."""
        if self.other is not None:
            self.other._full = True
            self.other.adjust_reading()

    def resume_writing(self) -> None:
        """This end takes more again."""
        if self.other is not None:
            self.other._full = False
            self.other.adjust_reading()

    # ---- carrying

    def _pass_on(self, data: bytes) -> None:
        other = self.other
        if other is not None and other.transport is not None:
            other.transport.write(data)
        else:  # the far end is still being dialled
            self._waiting.append((0, data))
            self._waiting_bytes += len(data)
            self.adjust_reading()

    def _delay(self, data: bytes) -> None:
        """Ask the policy when this piece arrives, and keep the order of sending."""
        proxy = self._proxy
        now_ns = proxy.now_ns()
        if proxy.policy.is_cut(*self.link):
            due_ns = self._last_ns  # as soon as the cut heals
        else:
            deliveries = proxy.policy.deliveries(*self.link, len(data), now_ns, proxy.chance)
            if deliveries.reset:
                self.break_off()
                return
            due_ns = max(self._last_ns, now_ns + deliveries.after_ns[0])
        self._last_ns = due_ns
        self._waiting.append((due_ns, data))
        self._waiting_bytes += len(data)
        self.adjust_reading()
        self._schedule()

    def _schedule(self) -> None:
        if self._timer is None and self._waiting and not self._proxy.policy.is_cut(*self.link):
            wait_ns = max(0, self._waiting[0][0] - self._proxy.now_ns())
            self._timer = asyncio.get_running_loop().call_later(wait_ns / 1e9, self._deliver)

    def _deliver(self) -> None:
        self._timer = None
        if self._proxy.policy.is_cut(*self.link) or self.other is None or self.other.transport is None:
            return
        now_ns = self._proxy.now_ns()
        while self._waiting and self._waiting[0][0] <= now_ns + NS_PER_MS // 10:
            _, data = self._waiting.popleft()
            self._waiting_bytes -= len(data)
            self.other.transport.write(data)
        self.adjust_reading()
        self._schedule()
        self._flush_end()

    def _flush_end(self) -> None:
        if self._ended and not self._waiting and not self._proxy.policy.is_cut(*self.link):
            for half in (self.other, self):
                if half is not None and half.transport is not None:
                    half.transport.close()  # once what was written has left

    def adjust_reading(self) -> None:
        """Read only while there is room for what is read."""
        hold = self._full or self._waiting_bytes > WAITING_BYTES_MAX
        if self.transport is None or self.transport.is_closing() or hold == self._held:
            return
        self._held = hold
        if hold:
            self.transport.pause_reading()
        else:
            self.transport.resume_reading()

    def faults_changed(self) -> None:
        """What waited under the old conditions goes on under the new ones: at once where the fault is gone."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.link not in self._proxy.faulty:
            self._last_ns = 0
            self._waiting = deque((0, data) for _, data in self._waiting)
            self._deliver()
            self._flush_end()
        else:
            self._schedule()

    def break_off(self) -> None:
        """Break both ends, as a reset does."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._waiting.clear()
        for half in (self, self.other):
            if half is not None and half.transport is not None:
                half.transport.abort()


class LinkProxy:
    """All links of one network. ``faulty``: links that are not as they should be."""

    def __init__(self, wiring: Wiring, seed: int) -> None:
        self.wiring = wiring
        self.policy = LinkPolicy(default=LinkCondition(delay_ms=0.0))
        self.faulty: dict[Link, None] = {}
        self.chance = random.Random(seed)
        self._halves: dict[Half, None] = {}
        self._servers: list[asyncio.Server] = []
        self._dials: dict[asyncio.Task[None], None] = {}
        self._changed = asyncio.Event()

    @staticmethod
    def now_ns() -> int:
        """Monotonic."""
        return round(asyncio.get_running_loop().time() * 1e9)

    async def start(self) -> None:
        """Listen on every link's port. Raises OSError where one is taken."""
        loop = asyncio.get_running_loop()
        for link, port in self.wiring.ports.items():
            accept = partial(Half, self, link, dialled=False)
            self._servers.append(await loop.create_server(accept, self.wiring.host, port))

    def stop(self) -> None:
        """Stop listening and break every connection."""
        for server in self._servers:
            server.close()
        for dial in list(self._dials):
            dial.cancel()
        for half in list(self._halves):
            half.break_off()

    async def _dial(self, near: Half) -> None:
        source, target = near.link
        far = Half(self, (target, source), dialled=True)
        loop = asyncio.get_running_loop()
        while self.policy.is_cut(source, target):  # the far end must not hear that somebody dials
            self._changed.clear()
            await self._changed.wait()
        if near.transport is None or near.transport.is_closing():
            return
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await loop.create_connection(lambda: far, self.wiring.host, self.wiring.targets[target])
        except (OSError, TimeoutError):
            near.break_off()  # nobody listens there: the dialler shall hear so
            return
        if near.transport.is_closing():
            far.break_off()
            return
        near.other, far.other = far, near
        near.faults_changed()
        far.faults_changed()

    def opened(self, half: Half) -> None:
        """An end of a connection is there; where a node has dialled it, the other end is still to come."""
        self._halves[half] = None
        if not half.dialled:
            dial = asyncio.get_running_loop().create_task(self._dial(half))
            self._dials[dial] = None
            dial.add_done_callback(lambda done: self._dials.pop(done, None))

    def closed(self, half: Half) -> None:
        """An end is gone."""
        self._halves.pop(half, None)

    def faults_changed(self) -> None:
        """The policy was changed from outside: find the faulty links anew, and let go what may go."""
        policy = self.policy
        self.faulty = {
            link: None
            for link in self.wiring.ports
            if policy.is_cut(*link) or policy.condition(*link) != policy.default
        }
        self._changed.set()
        for half in list(self._halves):
            half.faults_changed()

    def reset(self, source: str, target: str) -> None:
        """Break every connection between the two, whoever dialled it."""
        for half in list(self._halves):
            if half.link in ((source, target), (target, source)):
                half.break_off()
