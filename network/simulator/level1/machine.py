"""One simulated computer: an engine, its clocks, and what kills it. What the engine says is performed by subclasses."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

from network.faults.vocabulary import FaultAction
from node.consensus.engine import (
    BuildPayload,
    ConsensusMessage,
    Draft,
    Effect,
    Engine,
    Input,
    LogRecord,
    MessageReceived,
    Moment,
    Publish,
    SendTo,
    SetTimer,
    SignAndPublish,
    SignAndSend,
    TimerFired,
    TimerKey,
    Unsigned,
)
from node.consensus.journal import DamagedLog, decode_record
from node.consensus.signer import RefusedToSign
from node.primitives.scalars import Address
from node.storage import schema
from node.storage.database import Batch, DatabaseFull, MemoryDatabase

START_WALL_MS: Final = 1_700_000_000_000
_PPM: Final = 1_000_000
BACKLOG_MAX: Final = 100_000
_LOG_BIRTH: Final = schema.consensus_log(0)
KEPT_RECORDS: Final = 2
"""What amnesia leaves of a log: its birth, and the oldest statement."""


class TagKey:
    """Signs with a tag: fast, and nobody in the simulator forges it."""

    __slots__ = ("_tag", "address")

    def __init__(self, address: Address) -> None:
        self.address: Address = address
        self._tag = address + bytes(45)

    def sign(self, digest: bytes) -> bytes:
        """The tag."""
        return self._tag


class PowerCut(Exception):
    """The power goes while a record is being written."""


class LogDisk(MemoryDatabase):
    """The consensus log's disk. Remembers which slots ever became durable on it."""

    def __init__(self) -> None:
        super().__init__()
        self.slots: dict[tuple[int, int, int], None] = {}
        self.is_full = False
        self.tears = False
        """The power goes during the next write, and leaves half of it."""

    def write(self, batch: Batch, durable: bool) -> None:
        """Apply the batch; note the slots it makes durable. Raises DatabaseFull or PowerCut."""
        if self.is_full:
            raise DatabaseFull("the disk is full")
        if self.tears:
            self.tears = False
            records = [(key, value) for key, value in batch.entries.items() if value is not None]
            if len(records) == 1 and _is_record(records[0][0]):
                torn = Batch()
                torn.put(records[0][0], records[0][1][: len(records[0][1]) // 2])
                super().write(torn, durable)
            raise PowerCut
        for key, value in batch.entries.items():
            if value is not None and _is_record(key):
                self.note(decode_record(value))
        super().write(batch, durable)

    def note(self, record: LogRecord) -> None:
        """A record has become durable."""
        self.slots[record.height, record.round, record.kind] = None

    def forget(self) -> None:
        """Roll the log back, so that nothing tells that something is missing."""
        batch = Batch()
        for key, _ in list(self.iterate(schema.CONSENSUS_LOG))[KEPT_RECORDS:]:
            batch.delete(key)
        super().write(batch, durable=True)

    def wipe(self) -> None:
        """All that was stored is gone; what once was durable stays known."""
        batch = Batch()
        for key, _ in list(self.iterate(b"")):
            batch.delete(key)
        super().write(batch, durable=True)
        self.is_full = self.tears = False


def _is_record(key: bytes) -> bool:
    return key.startswith(schema.CONSENSUS_LOG) and key != _LOG_BIRTH


class Clock:
    """A machine's own time in whole milliseconds: what it counts, and what it takes for the time of day."""

    def __init__(self, skew_ms: int = 0) -> None:
        self.skew_ms = skew_ms
        """Wrong by so much for ever."""
        self.offset_ms = 0
        self._ppm = 0
        self._real_ms = 0
        self._own_ms = 0

    def own_ms(self, now_ms: int) -> int:
        """The monotonic clock. ``now_ms``: the world's time."""
        if not self._ppm:
            return self._own_ms + now_ms - self._real_ms
        return self._own_ms + (now_ms - self._real_ms) * (_PPM + self._ppm) // _PPM

    def wall_ms(self, now_ms: int) -> int:
        """The wall clock."""
        return START_WALL_MS + self.skew_ms + self.offset_ms + self.own_ms(now_ms)

    def moment(self, now_ms: int) -> Moment:
        """Both clocks at once."""
        own_ms = self.own_ms(now_ms)
        return Moment(own_ms, START_WALL_MS + self.skew_ms + self.offset_ms + own_ms)

    def real_ms(self, own_ms: int) -> int:
        """How long a stretch of the machine's time takes in the world; rounded up, so that a timer is never early."""
        return -(-own_ms * _PPM // (_PPM + self._ppm)) if self._ppm else own_ms

    def drift(self, now_ms: int, ppm: int) -> None:
        """From now on too fast by so much."""
        self._own_ms, self._real_ms, self._ppm = self.own_ms(now_ms), now_ms, ppm

    def set_right(self, now_ms: int) -> None:
        """A good time source is back. The monotonic clock stays where it got."""
        self.drift(now_ms, 0)
        self.offset_ms = now_ms - self.own_ms(now_ms)


class Outside(Protocol):
    """What every machine needs of its world."""

    now_ms: int

    def broadcast(self, node: Machine, message: ConsensusMessage) -> None:
        """To everybody else."""
        ...

    def send(self, node: Machine, peer: bytes, message: ConsensusMessage) -> None:
        """To one instance."""
        ...

    def set_timer(self, node: Machine, key: TimerKey, after_ms: int) -> None:
        """Fire later."""
        ...

    def crashed(self, node: Machine) -> None:
        """The machine is down and must be booted again."""
        ...


class MachineSigner(Protocol):
    """Holds a machine's keys."""

    def sign(self, draft: Draft, proof: ConsensusMessage | None) -> ConsensusMessage:
        """The signed message, durable. Raises RefusedToSign, PowerCut or DatabaseFull."""
        ...

    def sign_unrecorded(self, message: Unsigned) -> ConsensusMessage:
        """What is no vote, signed. Raises RefusedToSign."""
        ...


class Machine(ABC):
    """``name``: (number, half); twins are two halves with one key. ``label``: ``n3``, its twin ``n3+``."""

    engine: Engine
    signer: MachineSigner

    def __init__(self, name: bytes, skew_ms: int, disk: LogDisk, outside: Outside) -> None:
        self.name = name
        self.outside = outside
        self.label = f"n{name[0]}" + "+" * name[1]
        self.disk = disk
        self.clock = Clock(skew_ms)
        self.alive = False
        self.life = 0
        """Counts boots and crashes: what was on its way to an earlier life is lost."""
        self.crash_after: int | None = None
        """Crash before the effect after so many more."""
        self.paused = False
        self.work_ms = 0
        self.lies: list[FaultAction] = []
        self.timers: dict[TimerKey, int] = {}
        self._backlog: deque[Callable[[], None]] = deque()
        self._effects: deque[Effect] = deque()
        self._own: deque[ConsensusMessage] = deque()

    # --- for subclasses --------------------------------------------------------------------------

    @abstractmethod
    def start_engine(self) -> Input:
        """Make the engine from what the disk holds; its first input."""

    @abstractmethod
    def perform_own(self, effect: Effect) -> None:
        """Carry out one effect that only this kind of machine knows."""

    @abstractmethod
    def leave(self, message: ConsensusMessage) -> None:
        """A message is about to be sent: tell the judge what of it was signed here."""

    @abstractmethod
    def build(self, effect: BuildPayload) -> None:
        """Have a block built."""

    @abstractmethod
    def lose_disk(self) -> None:
        """Everything stored is gone."""

    # --- life ------------------------------------------------------------------------------------

    def boot(self) -> None:
        """Start from what the disk holds."""
        if self.disk.is_full:
            return  # comes up when there is room again
        self.alive = True
        self.life += 1
        self.timers = {}
        self._effects.clear()
        self._own.clear()
        self.handle(self.start_engine())

    def kill(self) -> None:
        """SIGKILL. What the disk holds stays."""
        if self.alive:
            self.alive = False
            self.life += 1
        self.crash_after = None
        self.paused = False
        self.disk.tears = False
        self._backlog.clear()

    def resume(self) -> None:
        """SIGCONT: all that came meanwhile comes now."""
        self.paused = False
        while self._backlog and not self.paused:
            self._backlog.popleft()()

    def when_running(self, action: Callable[[], None], life: int) -> None:
        """Do it if this life goes on; later if the machine is paused."""
        if not self.alive or self.life != life:
            return
        if not self.paused:
            action()
        elif len(self._backlog) < BACKLOG_MAX:
            self._backlog.append(lambda: self.when_running(action, life))

    # --- the engine ------------------------------------------------------------------------------

    def moment(self) -> Moment:
        """Now, by this machine's clocks."""
        return self.clock.moment(self.outside.now_ms)

    def receive(self, life: int, peer: bytes, message: ConsensusMessage) -> None:
        """A message has arrived that was sent to this life."""
        if self.alive and self.life == life and not self.paused:
            self.hear(peer, message)
        else:
            self.when_running(lambda: self.hear(peer, message), life)

    def ring(self, life: int, key: TimerKey, due: int) -> None:
        """A timer that this life has set runs out; ``due`` tells it from others of the same key."""
        self.when_running(lambda: self._ring(key, due), life)

    def _ring(self, key: TimerKey, due: int) -> None:
        if self.timers.get(key) == due:
            del self.timers[key]
            self.handle(TimerFired(self.moment(), key))

    def hear(self, peer: bytes, message: ConsensusMessage) -> None:
        """A message has arrived."""
        if self.engine.triage(message).wanted:
            self.handle(MessageReceived(self.moment(), peer, message))

    def handle(self, event: Input) -> None:
        """One input, all its effects, and the inputs that they give back."""
        effects, own = self._effects, self._own
        effects.extend(self.engine.handle(event))
        while self.alive:
            if effects:
                effect = effects.popleft()
                if self.crash_after is None or self._survives():
                    self.perform(effect)
            elif own:
                effects.extend(self.engine.handle(MessageReceived(self.moment(), None, own.popleft())))
            else:
                return

    def perform(self, effect: Effect) -> None:
        """Carry out one effect; a crash may fall before it."""
        if isinstance(effect, SendTo):
            self.leave(effect.message)
            if effect.peer is None:
                self.outside.broadcast(self, effect.message)
            else:
                self.outside.send(self, effect.peer, effect.message)
        elif isinstance(effect, SetTimer):
            self.outside.set_timer(self, effect.key, effect.after_ms)
        elif isinstance(effect, SignAndPublish):
            self.sign_and_publish(effect)
        elif isinstance(effect, Publish):
            self.leave(effect.message)
            self.outside.broadcast(self, effect.message)
        elif isinstance(effect, BuildPayload):
            self.build(effect)
        elif isinstance(effect, SignAndSend):
            self.outside.send(self, effect.peer, self.signer.sign_unrecorded(effect.message))
        else:
            self.perform_own(effect)

    def sign_and_publish(self, effect: SignAndPublish) -> None:
        """Durable, then sent, then handed back; a crash may fall between."""
        try:
            message = self.signer.sign(effect.draft, effect.proof)
        except RefusedToSign:
            return
        except (PowerCut, DatabaseFull):
            self.die()
            return
        if self._survives():
            self.leave(message)
            self.outside.broadcast(self, message)
            self._own.append(message)

    def _survives(self) -> bool:
        """Whether the next step is still taken; a crash may fall before any of them."""
        if self.crash_after is None:
            return True
        if self.crash_after > 0:
            self.crash_after -= 1
            return True
        self.die()
        return False

    def die(self) -> None:
        """Crash now, and be found."""
        self.kill()
        self.outside.crashed(self)


__all__ = ["START_WALL_MS", "Clock", "DamagedLog", "LogDisk", "Machine", "Outside", "PowerCut", "TagKey"]
