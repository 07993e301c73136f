"""Swarm testing: a seed draws a cluster, its weather and a sequence of faults; afterwards all heals and must go on.

Two phases. Under faults only safety is asked (the judge ends the run); then every fault ends, and every node must
decide again within ``RECOVERY_MS``. Each seed leaves some kinds of fault out, because faults hide one another.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from network.faults.link_policy import LinkCondition, Loss
from network.simulator.blueprint import make_blueprint
from network.simulator.entropy import seeded_random
from network.simulator.simulation import QUIET_LINKS, Simulation

T = TypeVar("T")

FAULTS: Final = ("crash", "power", "stop", "pause", "partition", "isolate", "one way", "jump")
FAULT_PHASE_MS: Final = 25_000
RECOVERY_MS: Final = 20_000
RECOVERY_BLOCKS: Final = 3
_CLOCK_OFF_MS: Final = 400
_CLOCK_DRIFT_PPM: Final = 20_000


@dataclass(frozen=True, slots=True)
class Outcome:
    """A run that went well."""

    seed: int
    nodes: int
    faults: tuple[str, ...]
    links: LinkCondition
    height: int
    recovery_ms: int
    """From the end of all faults until every node had decided RECOVERY_BLOCKS more."""
    trace_hash: str

    def __str__(self) -> str:
        kinds = ", ".join(dict.fromkeys(fault.split(" n")[0] for fault in self.faults))
        return (
            f"seed {self.seed}: {self.nodes} nodes, {self.links.on_loss.value} loss {self.links.loss}, "
            f"{len(self.faults)} faults ({kinds}), height {self.height}, recovered in {self.recovery_ms} ms"
        )


class _Swarm:
    def __init__(self, seed: int, trace_to: Callable[[str], object] | None) -> None:
        self.chance = seeded_random(seed, "swarm")
        self.kinds = [kind for kind in FAULTS if self.chance.random() < 0.6] or list(FAULTS)
        self.links = LinkCondition(
            delay_ms=self.pick((1, 20, 80)),
            jitter_ms=self.pick((0, 20, 80)),
            loss=self.pick((0.0, 0.0, 0.02, 0.1)),
            reorder=self.pick((0.0, 0.2)),
            on_loss=self.pick((Loss.RETRANSMIT, Loss.RETRANSMIT, Loss.RESET)),
        )
        nodes = self.pick((1, 2, 3, 4, 4, 4, 5))
        weights = [self.pick((1, 1, 1, 2, 3)) for _ in range(nodes)] if self.chance.random() < 0.3 else []
        blueprint = make_blueprint(seed, nodes, weights, block_time_ms=self.pick((300, 1000, 1000)))
        self.simulation = Simulation(seed, blueprint=blueprint, links=self.links, trace_to=trace_to)
        self.done: list[str] = []

    def pick(self, options: Sequence[T]) -> T:
        return options[int(self.chance.random() * len(options))]

    def between(self, low: int, high: int) -> int:
        return low + int(self.chance.random() * (high - low))

    def spoil_clocks(self) -> None:
        for machine in self.simulation.world.machines.values():
            if self.chance.random() < 0.3:
                machine.offset_ms = self.between(-_CLOCK_OFF_MS, _CLOCK_OFF_MS)
                machine.drift_ppm = self.between(-_CLOCK_DRIFT_PPM, _CLOCK_DRIFT_PPM)

    def step(self) -> None:
        """One fault, or the end of one."""
        simulation, world = self.simulation, self.simulation.world
        name = self.pick(simulation.names)
        machine = world.machines[name]
        others = [other for other in simulation.names if other != name]
        if self.chance.random() < 0.4:  # an end
            if not machine.is_up:
                simulation.start(name)
            elif machine.paused:
                simulation.resume(name)
            else:
                simulation.heal()
            return
        kind = self.pick(self.kinds)
        if kind in ("crash", "power", "stop", "pause") and (not machine.is_up or machine.paused):
            return
        match kind:
            case "crash":
                simulation.crash(name)
            case "power":
                simulation.cut_power(name)
            case "stop":
                simulation.stop(name)
            case "pause":
                simulation.pause(name)
            case "partition" if others:
                cut = self.between(1, len(simulation.names))
                simulation.partition(simulation.names[:cut], simulation.names[cut:])
            case "isolate" if others:
                simulation.partition([name], others)
            case "one way" if others:
                world.cut_one_way(name, self.pick(others))
            case "jump":
                world.jump_clock(name, self.between(-1500, 1500))
            case _:
                return
        self.done.append(f"{kind} {name}")

    def heal_everything(self) -> None:
        simulation = self.simulation
        simulation.heal()
        simulation.world.policy.default = QUIET_LINKS
        for name, machine in simulation.world.machines.items():
            if not machine.is_up:
                simulation.start(name)
            elif machine.paused:
                simulation.resume(name)


def run_swarm(seed: int, trace_to: Callable[[str], object] | None = None) -> Outcome:
    """One seed. Raises InvariantViolated, ProgramFailed or Stuck."""
    swarm = _Swarm(seed, trace_to)
    with swarm.simulation as simulation:
        swarm.spoil_clocks()
        simulation.start()
        simulation.traffic(per_second=4)
        end_ms = simulation.now_ms + FAULT_PHASE_MS
        while simulation.now_ms < end_ms:
            simulation.run_for(swarm.between(300, 2500))
            swarm.step()
        swarm.heal_everything()
        healed_ms = simulation.now_ms
        before = max(simulation.judge.finalized().values(), default=0)
        reached = simulation.run_until_height(before + RECOVERY_BLOCKS, RECOVERY_MS)
        if not reached:
            simulation.judge.check_progress(
                dict.fromkeys(simulation.names, before), simulation.names, RECOVERY_BLOCKS, RECOVERY_MS
            )
        recovery_ms = simulation.now_ms - healed_ms
        height = simulation.check_same_chains()
        return Outcome(
            seed,
            len(simulation.names),
            tuple(swarm.done),
            swarm.links,
            height,
            recovery_ms,
            simulation.trace.hash,
        )
