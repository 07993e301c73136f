"""python -m network.simulator: one seeded run of a whole cluster under virtual time.

    python -m network.simulator --seed 7 --nodes 4 --until-height 100 --trace
    python -m network.simulator --seed 0 --swarm 50            seeds 0 to 49, each with its own faults

Prints the trace hash at the end: the same seed gives the same hash, on every machine. Exit codes: 0, 1 for a failure
of ours, 128 for no progress, 129 for a broken promise (see network/invariants.py).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Sequence

import click

from network.faults.link_policy import LinkCondition
from network.invariants import Invariant, InvariantViolated
from network.simulator.event_loop import Stuck
from network.simulator.simulation import Simulation
from network.simulator.swarm import run_swarm
from network.simulator.world import ProgramFailed


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--seed", type=int, default=1, show_default=True, help="Everything that chance decides follows it.")
@click.option("--nodes", type=click.IntRange(1, 64), default=4, show_default=True)
@click.option("--until-height", type=click.IntRange(1), default=10, show_default=True, help="Blocks that all decide.")
@click.option("--within", type=click.IntRange(1), default=600, show_default=True, help="Virtual seconds at most.")
@click.option("--rate", type=click.FloatRange(0), default=5.0, show_default=True, help="Transactions a second.")
@click.option("--delay-ms", type=click.FloatRange(0), default=5.0, show_default=True, help="Of every link, one way.")
@click.option("--jitter-ms", type=click.FloatRange(0), default=5.0, show_default=True, help="Added by chance.")
@click.option("--loss", type=click.FloatRange(0, 1), default=0.0, show_default=True, help="Of frames: they come late.")
@click.option("--crash", type=click.IntRange(0), default=0, help="Kill and restart a node this often, in turn.")
@click.option("--swarm", type=click.IntRange(1), help="Run as many seeds, each drawing cluster, links and faults.")
@click.option("--trace", is_flag=True, help="One line an event on stdout.")
@click.option("--logs", is_flag=True, help="The nodes' own logs on stderr.")
def main(
    seed: int,
    nodes: int,
    until_height: int,
    within: int,
    rate: float,
    delay_ms: float,
    jitter_ms: float,
    loss: float,
    crash: int,
    swarm: int | None,
    trace: bool,
    logs: bool,
) -> None:
    """Run a cluster of whole nodes under virtual time until all have decided some blocks."""
    if swarm is not None:
        sys.exit(_swarm(range(seed, seed + swarm), trace))
    began = time.perf_counter()
    simulation = Simulation(
        seed,
        nodes,
        links=LinkCondition(delay_ms=delay_ms, jitter_ms=jitter_ms, loss=loss),
        trace_to=_line if trace else None,
        log_to=(lambda line: click.echo(line, err=True)) if logs else None,
    )
    code = 0
    with simulation:
        try:
            _run(simulation, until_height, within * 1000, rate, crash)
        except (InvariantViolated, ProgramFailed, Stuck) as failure:
            code = _report(seed, failure)
        real_s = time.perf_counter() - began
        virtual_s = simulation.now_ms / 1000
        heads = " ".join(f"{name}:{simulation.height(name)}" for name in simulation.names)
        click.echo(
            f"seed {seed}  heads {heads}  sent {len(simulation.sent)}  events {simulation.trace.events}  "
            f"virtual {virtual_s:.1f} s  real {real_s:.1f} s  ratio {virtual_s / real_s:.1f}",
            err=True,
        )
        click.echo(simulation.trace.hash)
    sys.exit(code)


def _report(seed: int, failure: InvariantViolated | ProgramFailed | Stuck) -> int:
    click.echo(f"seed {seed}: {failure}", err=True)
    return failure.exit_code if isinstance(failure, InvariantViolated) else 1


def _swarm(seeds: Iterable[int], trace: bool) -> int:
    """Runs every seed; the worst exit code."""
    worst = 0
    for seed in seeds:
        try:
            click.echo(str(run_swarm(seed, _line if trace else None)))
        except (InvariantViolated, ProgramFailed, Stuck) as failure:
            worst = max(worst, _report(seed, failure))
    return worst


def _line(line: str) -> None:
    sys.stdout.write(line + "\n")


def _run(simulation: Simulation, until_height: int, within_ms: int, rate: float, crashes: int) -> None:
    simulation.start()
    if rate:
        simulation.traffic(rate)
    names: Sequence[str] = simulation.names
    for number in range(crashes):
        height = until_height * (number + 1) // (crashes + 1)
        _reach(simulation, height, within_ms)
        victim = names[number % len(names)]
        simulation.crash(victim)
        simulation.run_for(2_000)
        simulation.start(victim)
    _reach(simulation, until_height, within_ms)
    simulation.check_same_chains()


def _reach(simulation: Simulation, height: int, within_ms: int) -> None:
    if not simulation.run_until_height(height, within_ms - simulation.now_ms):
        heads = ", ".join(f"{name} {simulation.height(name)}" for name in simulation.names)
        raise InvariantViolated(Invariant.PROGRESS, f"height {height} not reached by all in {within_ms} ms: {heads}")


if __name__ == "__main__":
    main()
