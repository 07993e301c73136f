"""A scenario on whole nodes: RPC dispatch, framing, sync, real EVM and disks, under virtual time.

Faults mean what they mean at level 1 and on real processes; what differs is said where it is done. Drift moves wall
time alone, and twins hear everybody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from network.faults.kinds import Group
from network.faults.liar import LIES, Liar
from network.faults.link_faults import LinkFaults
from network.faults.link_policy import NS_PER_MS, LinkCondition
from network.faults.vocabulary import FaultAction
from network.invariants import Invariant, InvariantViolated
from network.simulator.blueprint import make_blueprint
from network.simulator.clocks import START_WALL_MS, SkewedClock
from network.simulator.disk import SimulatedDisk
from network.simulator.entropy import seeded_random
from network.simulator.level1.machine import KEPT_RECORDS
from network.simulator.scenario import Scenario
from network.simulator.simulation import Simulation
from network.simulator.world import WORK_MS
from node.consensus.bft.messages import ChainDomain
from node.consensus.engine import ConsensusMessage, Effect, Engine, Input, Triage
from node.consensus.signer import Secp256k1Key
from node.crypto.secp256k1 import address_of_private_key
from node.primitives.hexadecimal import to_data
from node.storage import schema
from node.storage.database import Batch

STOPPED_WITHIN_MS: Final = 500
"""A node that was asked to end has ended by then, and starts again."""


@dataclass(slots=True)
class _Steered:
    """What is held over a node's engine: when it dies, and which lies it tells."""

    effects_left: int | None = None
    dead: bool = False
    liars: list[tuple[FaultAction, Liar]] = field(default_factory=list)


class _Breaking(list[Effect]):
    """Effects of which the last is followed by death."""

    def __init__(self, effects: list[Effect], die: Callable[[], None]) -> None:
        super().__init__(effects)
        self._die = die

    def __iter__(self) -> Iterator[Effect]:
        yield from super().__iter__()
        self._die()


class _MortalEngine:
    """An engine whose process can die between two of its effects."""

    def __init__(self, inner: Engine, steered: _Steered, die: Callable[[], None]) -> None:
        self._inner = inner
        self._steered = steered
        self._die = die

    @property
    def name(self) -> str:
        """The engine's."""
        return self._inner.name

    @property
    def height(self) -> int:
        """The engine's."""
        return self._inner.height

    def triage(self, message: ConsensusMessage) -> Triage:
        """The engine's opinion."""
        return self._inner.triage(message)

    def inspect(self) -> dict[str, object]:
        """The engine's state."""
        return self._inner.inspect()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def handle(self, event: Input) -> list[Effect]:
        """The engine's effects, or those that still happen. Nothing once the process is dead."""
        steered = self._steered
        if steered.dead:
            return []
        effects = self._inner.handle(event)
        if steered.effects_left is None:
            return effects
        if len(effects) < steered.effects_left:
            steered.effects_left -= len(effects)
            return effects
        left, steered.effects_left = steered.effects_left, None
        return _Breaking(effects[:left], self._kill)

    def _kill(self) -> None:
        self._steered.dead = True
        self._die()


class FaultDriver:
    """Brings a scenario's faults about in a simulation."""

    def __init__(self, simulation: Simulation, scenario: Scenario) -> None:
        self.simulation = simulation
        self.world = simulation.world
        self.scenario = scenario
        self._links = LinkFaults(self.world.policy, simulation.names)
        self._steered: dict[str, _Steered] = {}
        self._on: list[FaultAction] = []
        simulation.wrap_engine = self._wrap

    # ---- around the engines

    def _wrap(self, name: str, engine: Engine) -> Engine:
        steered = self._steered[name] = _Steered()
        plan = next(plan for plan in self.simulation.blueprint.nodes if plan.name == name)
        genesis = self.simulation.blueprint.genesis
        if plan.validator_key is not None:
            domain = ChainDomain(genesis.chain_id, genesis.block().hash)
            for number, action in enumerate(self.scenario.faults.actions):
                if action.kind in LIES and name.removesuffix("+") in action.targets:
                    share = action.share() if action in self._on else 0.0
                    chance = seeded_random(self.scenario.seed, "lies", name, str(number))
                    engine = Liar(engine, [Secp256k1Key(plan.validator_key)], domain, action.kind, share, chance)
                    steered.liars.append((action, engine))
        return _MortalEngine(engine, steered, lambda: self._crash(name))

    @property
    def on(self) -> tuple[FaultAction, ...]:
        """Faults that have begun and not ended, oldest first."""
        return tuple(self._on)

    # ---- the run

    def schedule(self) -> None:
        """Put every fault on the loop, and the calm after them."""
        for action in self.scenario.faults.actions:
            self._at(action.at_ms, lambda action=action: self.begin(action))  # type: ignore[misc]
            if action.until_ms is not None:
                self._at(action.until_ms, lambda action=action: self.end(action))  # type: ignore[misc]
        self._at(self.scenario.calm_ms, self.heal)

    def _at(self, at_ms: int, action: Callable[[], None]) -> None:
        def act() -> None:
            try:
                action()
            except Exception as error:
                self.world.fail(error)

        self.world.network.at(max(at_ms * NS_PER_MS, self.world.loop.now_ns + 1), act)

    def begin(self, action: FaultAction) -> None:
        """Bring a fault about, now. A lie must be one of the scenario's."""
        self.world.trace.record(f"fault {action}")
        self._on.append(action)
        if action.what.group is Group.LINK:
            self._links.begin(action)
            return
        for name in self._targets(action):
            self._befall(name, action)

    def _targets(self, action: FaultAction) -> list[str]:
        if not action.what.is_byzantine:
            return list(action.targets)
        return [name for name in self.simulation.names if name.removesuffix("+") in action.targets]

    def _befall(self, name: str, action: FaultAction) -> None:
        world, machine = self.world, self.world.machines[name]
        match action.kind:
            case "crash":
                self._crash(name)
            case "kill-between-effects":
                self._steered[name].effects_left = action.number("effects")
            case "pause":
                if machine.is_up and not machine.paused:
                    self.simulation.pause(name)
            case "restart":
                if machine.task is not None and not machine.paused:
                    machine.task.cancel()
                    self._at(world.now_ms + STOPPED_WITHIN_MS, lambda: self._start(name))
            case "slow-node":
                world.slow_down(name, machine.work_ms + action.number("work_ms"))
            case "lost-disk":
                self._crash(name)
                machine.disk = SimulatedDisk()
                self.simulation.judge.on_lost_disk(name)
            case "torn-log":
                if machine.is_up:
                    self.simulation.cut_power(name)
            case "full-disk":
                machine.disk.capacity_bytes = machine.disk.used_bytes + action.number("free_bytes")
            case "clock-offset":
                world.jump_clock(name, action.number("offset_ms"))
            case "clock-drift":
                self._clock(name).steer(action.number("ppm"))
            case "clock-jump":
                world.jump_clock(name, action.number("by_ms"))
            case "amnesia":
                self._crash(name)
                _forget(machine.disk)
                self._at(world.now_ms + 1, lambda: self._start(name))
            case _:
                self.set_share(name, action, action.share() if action.kind in LIES else 0.0)

    def end(self, action: FaultAction) -> None:
        """End a fault, now; nothing happens when it is not on."""
        if action not in self._on:
            return
        self._on.remove(action)
        self.world.trace.record(f"over {action}")
        if action.what.group is Group.LINK:
            self._links.end(action)
            return
        for name in self._targets(action):
            self._relieve(name, action)

    def _relieve(self, name: str, action: FaultAction) -> None:
        world, machine = self.world, self.world.machines[name]
        match action.kind:
            case "crash" | "lost-disk" | "torn-log" | "kill-between-effects":
                self._steered[name].effects_left = None
                self._start(name)
            case "pause":
                if machine.is_up and machine.paused:
                    self.simulation.resume(name)
            case "slow-node":
                world.slow_down(name, max(WORK_MS, machine.work_ms - action.number("work_ms")))
            case "full-disk":
                machine.disk.capacity_bytes = None
                self._start(name)
            case "clock-offset":
                world.jump_clock(name, -action.number("offset_ms"))
            case "clock-drift":
                self._clock(name).steer(0)
            case _:
                self.set_share(name, action, 0.0)

    def heal_links(self) -> None:
        """The faults of the links end."""
        self.world.trace.record("heal links")
        self._on = [action for action in self._on if action.what.group is not Group.LINK]
        self._links.heal()

    def heal(self) -> None:
        """Every fault ends but the lies."""
        world = self.world
        world.trace.record("heal all")
        self._on = [action for action in self._on if action.what.is_byzantine]
        self._links.heal()
        for name, machine in world.machines.items():
            machine.disk.capacity_bytes = None
            world.slow_down(name, WORK_MS)
            if machine.clock is not None:
                machine.clock.steer(0)
            world.jump_clock(name, -machine.offset_ms)
            self._steered[name].effects_left = None
            if machine.is_up and machine.paused:
                self.simulation.resume(name)
            self._start(name)
        self._at(world.now_ms + STOPPED_WITHIN_MS, self._start_all)

    def _start_all(self) -> None:
        """Whoever was dying of a full disk when it was emptied is down only now."""
        for name in self.simulation.names:
            self._start(name)

    # ---- by hand

    def _clock(self, name: str) -> SkewedClock:
        machine = self.world.machines[name]
        if machine.clock is None:
            machine.clock = SkewedClock(self.world.loop, machine.owner, machine.offset_ms, START_WALL_MS)
        return machine.clock

    def set_share(self, name: str, action: FaultAction, share: float) -> None:
        """On how many of the occasions a node lies in the way that this action of the scenario says."""
        for told, liar in self._steered[name].liars:
            if told is action:
                liar.share = share

    def _crash(self, name: str) -> None:
        if self.world.machines[name].is_up:
            self.simulation.crash(name)

    def _start(self, name: str) -> None:
        if not self.world.machines[name].is_up:
            self.simulation.start(name)


def _forget(disk: SimulatedDisk) -> None:
    """Roll the consensus log back, so that nothing tells that something is missing."""
    records = [key for key, _ in disk.stored.iterate(schema.CONSENSUS_LOG)]
    batch = Batch()
    for key in records[KEPT_RECORDS:]:
        batch.delete(key)
    disk.write(batch, durable=True)


def blueprint_simulation(scenario: Scenario, trace_to: Callable[[str], object] | None = None) -> Simulation:
    """The scenario's cluster, not yet started."""
    blueprint = make_blueprint(
        scenario.seed,
        scenario.nodes,
        scenario.weights,
        block_time_ms=scenario.slot_ms if scenario.engine == "pos" else scenario.block_time_ms,
        engine=scenario.engine,
        slots_per_epoch=scenario.slots_per_epoch,
        twins=tuple(scenario.twins),
        log_level="error",
    )
    links = LinkCondition(
        delay_ms=scenario.delay_min_ms, jitter_ms=scenario.delay_ms - min(scenario.delay_min_ms, scenario.delay_ms)
    )
    return Simulation(scenario.seed, blueprint=blueprint, links=links, trace_to=trace_to)


def recovery_ms(scenario: Scenario) -> int:
    """How long after the calm every honest node may take until it has finalized something new."""
    liars = len(scenario.faulty)
    if scenario.engine == "pos":
        return (9 + 4 * liars) * scenario.slot_ms * scenario.slots_per_epoch + 8 * scenario.delay_ms
    # a node whose dials failed for long waits up to 15 s for the next
    return 20_000 + 5_000 * liars + 14 * scenario.delay_ms


class Level2Run:
    """A run of whole nodes. ``judged``: whether progress was asked for."""

    def __init__(self, scenario: Scenario, trace_to: Callable[[str], object] | None = None) -> None:
        self.scenario = scenario
        self.simulation = blueprint_simulation(scenario, trace_to)
        self.judged = False
        self._honest = [name for name in self.simulation.names if int(name.removesuffix("+")[1:]) not in scenario.liars]

    def run(self) -> None:
        """The whole run and its judgement. Raises InvariantViolated, ProgramFailed or Stuck."""
        scenario, simulation = self.scenario, self.simulation
        simulation.start()
        driver = FaultDriver(simulation, scenario)
        driver.schedule()
        users = None
        if scenario.rate:
            users = simulation.traffic(scenario.rate, until=lambda: simulation.now_ms >= scenario.calm_ms)
        simulation.run_for(scenario.calm_ms + 1 - simulation.now_ms)
        before = dict.fromkeys(self._honest, max(simulation.judge.finalized().values(), default=0))
        simulation.run_for(max(0, scenario.until_ms - simulation.now_ms))
        self._ask_for_progress(before)
        if self.judged and users is not None and users.waiting:
            raise InvariantViolated(
                Invariant.PROGRESS, f"{users.waiting} of {len(users.sent)} transactions are in no chain at the end"
            )
        self._nobody_honest_is_convicted()
        simulation.check_same_chains(final=True)
        for name in simulation.nodes:
            if name in self._honest:
                simulation.check_supply(name)

    def _ask_for_progress(self, before: dict[str, int]) -> None:
        scenario = self.scenario
        within_ms = scenario.until_ms - scenario.calm_ms
        if 3 * scenario.faulty_weight < scenario.total_weight and within_ms >= recovery_ms(scenario):
            self.judged = True
            self.simulation.judge.check_progress(before, self._honest, 1, within_ms)

    def _nobody_honest_is_convicted(self) -> None:
        names = {
            to_data(address_of_private_key(plan.validator_key)): plan.name
            for plan in self.simulation.blueprint.nodes
            if plan.validator_key is not None and plan.name in self._honest
        }
        for name in self._honest:
            node = self.simulation.nodes.get(name)
            evidence = node.driver.inspect().get("evidence", []) if node is not None else []
            assert isinstance(evidence, list)
            for entry in evidence:
                if entry["validator"] in names:
                    self.simulation.judge.on_convicted(names[entry["validator"]], name, str(entry["kind"]))
