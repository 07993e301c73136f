"""Which codes are worth a unit, and what comes back: a unit is asked for between runs and never waited for.

hits of landing places ─▶ request ─▶ worker (another process) ─▶ answer ─▶ entries in the code's jump map

A code whose unit killed the worker, or that has none, is never sent again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, Protocol

from node.crypto.hashes import keccak256
from node.evm.native.codes import CodeCache, HeatMap, ReadyCode
from node.evm.native.hot.emitter import NAME
from node.evm.native.hot.rulebook import Rulebook, rulebook_of
from node.evm.native.hot.units import UNIT_BYTES_MAX, CompiledUnit, Request, read_answer, write_request
from node.evm.spec import Spec

SPECS_KEPT: Final = 4
"""Forks whose codes are kept at once: units are compiled under a fork's prices."""
UNITS_BYTES_MAX: Final = 16 * 2**20
"""Objects of units that are kept for codes that come back."""
NEVER_MAX: Final = 10_000
UNITS_A_CODE: Final = 3
WAITING_MAX: Final = 64

Key = tuple[bytes, bytes]
"""Code hash and digest of the rulebook; the machine's own objects come from one engine."""


class Loaded(Protocol):
    """An object in executable memory."""

    addresses: dict[str, int]


class Worker(Protocol):
    """A process that compiles one unit at a time."""

    def ask(self, request: bytes) -> bool:
        """Take a request; False where it is busy or cannot be started."""
        ...

    def answer(self) -> bytes | None:
        """What it has made; None while it is still at it. Empty where it died over the request."""
        ...


class Foreman:
    """One for a machine; its methods may be called from any thread: one at a time goes on, the others do not wait."""

    def __init__(
        self,
        worker: Worker,
        load: Callable[[bytes], Loaded],
        find_jumps: Callable[[int, int, int], None],
        everything: bool = False,
    ) -> None:
        """``load`` brings an object into memory; raises OSError or RuntimeError where it cannot.

        ``everything``: every code is compiled when it is made ready, for tests, with a worker that is done at once.
        """
        self._everything = everything
        self._worker = worker
        self._load = load
        self._find_jumps = find_jumps
        self._caches: dict[int, tuple[Spec, Rulebook, CodeCache]] = {}
        self._alone: list[None] = [None]
        """Whoever takes it out is the only one inside."""
        self._waiting: dict[Key, tuple[HeatMap, Rulebook, CodeCache]] = {}
        self._asked: tuple[Key, HeatMap, CodeCache] | None = None
        self._units: dict[Key, list[CompiledUnit]] = {}
        self._bytes = 0
        self._never: dict[Key, None] = {}
        self.installed = 0
        """Units that were entered into codes."""

    def codes_of(self, spec: Spec) -> CodeCache:
        """The codes that run under a fork. Raises ``UnknownInstruction``."""
        found = self._caches.get(id(spec))
        if found is None:
            rules = rulebook_of(spec)
            found = spec, rules, CodeCache(self._find_jumps, made=lambda code, cache: self._made(code, rules, cache))
            while len(self._caches) >= SPECS_KEPT:
                self._caches.pop(next(iter(self._caches)), None)
            self._caches[id(spec)] = found
        return found[2]

    def _made(self, code: ReadyCode, rules: Rulebook, cache: CodeCache) -> None:
        """A code came back that had units before."""
        assert code.heat is not None
        key = _key(code.heat, rules)
        units = self._units.get(key, ())
        for unit in units:
            self._enter(code.heat, unit, cache)
        if self._everything and not units and key not in self._never:
            self._waiting[key] = code.heat, rules, cache
            self.go_on()

    def look(self, codes: Iterable[object], spec: Spec) -> None:
        """Some of these codes have become hot under a fork."""
        found = self._caches.get(id(spec))
        if found is None:
            return
        for code in codes:
            heat = code.heat if isinstance(code, ReadyCode) else None
            if heat is not None and heat.hot() > heat.told and len(self._waiting) < WAITING_MAX:
                heat.told = heat.hot()
                key = _key(heat, found[1])
                if key not in self._never and len(self._units.get(key, ())) < UNITS_A_CODE:
                    self._waiting[key] = heat, found[1], found[2]
        self.go_on()

    @property
    def is_busy(self) -> bool:
        """Whether ``go_on`` has something to do."""
        return self._asked is not None or bool(self._waiting)

    def go_on(self) -> None:
        """Take an answer, if there is one, and ask for the next unit; never waits."""
        try:
            self._alone.pop()
        except IndexError:
            return
        try:
            self._take()
            while self._asked is None and self._waiting:
                key, *_ = tuple(self._waiting)  # other threads may add to them meanwhile
                heat, rules, cache = self._waiting[key]
                request = write_request(Request(heat.code, rules, None if self._everything else heat.hits()))
                if not self._worker.ask(request):
                    self._waiting.clear()  # there can be no worker: nobody asks for these again
                    return
                del self._waiting[key]
                self._asked = key, heat, cache
                self._take()
        finally:
            self._alone.append(None)

    def _take(self) -> None:
        if self._asked is None:
            return
        text = self._worker.answer()
        if text is None:
            return
        (key, heat, cache), self._asked = self._asked, None
        unit = read_answer(text)
        if unit is None or not unit.entries or len(unit.content) > UNIT_BYTES_MAX or not self._enter(heat, unit, cache):
            self._refuse(key)
            return
        self._units.setdefault(key, []).append(unit)
        self._bytes += len(unit.content)
        while self._bytes > UNITS_BYTES_MAX:
            oldest = self._units.pop(next(iter(self._units)))
            self._bytes -= sum(len(unit.content) for unit in oldest)

    def _enter(self, heat: HeatMap, unit: CompiledUnit, cache: CodeCache) -> bool:
        try:
            loaded = self._load(unit.content)
        except (OSError, RuntimeError):
            return False
        heat.enter(loaded, dict.fromkeys(unit.entries, loaded.addresses[NAME]))
        cache.weigh(len(unit.content))
        self.installed += 1
        return True

    def _refuse(self, key: Key) -> None:
        self._never[key] = None
        while len(self._never) > NEVER_MAX:
            del self._never[next(iter(self._never))]


def _key(heat: HeatMap, rules: Rulebook) -> Key:
    return keccak256(heat.code), rules.digest()
