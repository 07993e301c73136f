"""Real p2p switches on simulated machines: they find each other, gossip, lose and find each other again."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from network.faults.link_policy import LinkCondition, LinkPolicy
from network.simulator.disk import SimulatedDatabase
from network.simulator.entropy import stream_key
from network.simulator.world import Machine, ProgramFailed, World
from node.p2p.identity import Identity, NodeId
from node.p2p.peer_set import P2PConfig
from node.p2p.switch import Switch
from node.p2p.verdict import ACCEPT, Verdict
from node.runtime.runtime import Runtime
from node.telemetry.logs import Log

NAMES = ("n0", "n1", "n2", "n3")


def identity_of(name: str) -> Identity:
    return Identity(stream_key(1, "identity", name))


class Gossips:
    """Four switches; each keeps what it hears and publishes a word every half second."""

    def __init__(self, seed: int, shuffle: bool = False, condition: LinkCondition | None = None) -> None:
        self.world = World(seed, LinkPolicy(condition or LinkCondition(delay_ms=5, jitter_ms=10)), shuffle)
        self.heard: dict[str, list[bytes]] = {name: [] for name in NAMES}
        self.switches: dict[str, Switch] = {}
        for name in NAMES:
            self.world.add_machine(name)
        for name in NAMES:
            self.world.start(name, self.program)

    async def program(self, machine: Machine, runtime: Runtime, database: SimulatedDatabase) -> None:
        log = Log(runtime.clock, machine.name, "error", write=lambda line: None)
        bootnodes = tuple(
            identity_of(other.name).dial_string(f"{other.host}:30303")
            for other in self.world.machines.values()
            if other is not machine
        )
        config = P2PConfig(listen_address="0.0.0.0:30303", bootnodes=bootnodes)
        switch = Switch(config, identity_of(machine.name), runtime, log, lambda: {"chain": 1}, lambda _: None)

        async def on_word(peer: NodeId, payload: bytes) -> Verdict:
            self.heard[machine.name].append(payload)
            return ACCEPT

        switch.gossip.subscribe("words", on_word)
        await switch.start()
        self.switches[machine.name] = switch
        try:
            for number in range(10**9):
                switch.gossip.publish("words", f"{machine.owner} says {number}".encode())
                await asyncio.sleep(0.5)
        finally:
            await switch.stop()

    def meshed(self) -> bool:
        return len(self.switches) == 4 and all(len(switch.peers()) == 3 for switch in self.switches.values())


def run_story(seed: int, shuffle: bool = False) -> str:
    """Start, crash, restart, partition, heal: the trace hash."""
    gossips = Gossips(seed, shuffle, LinkCondition(delay_ms=5, jitter_ms=10, loss=0.02))
    with gossips.world as world:
        world.run_for(3_000)
        world.crash("n3")
        world.run_for(2_000)
        world.start("n3", gossips.program)
        world.run_for(3_000)
        world.partition(["n0", "n1"], ["n2", "n3"])
        world.run_for(5_000)
        world.heal()
        world.run_for(5_000)
        return world.trace.hash


def test_switches_find_each_other_and_gossip() -> None:
    gossips = Gossips(1)
    with gossips.world as world:
        assert world.run_until(gossips.meshed, 5_000)
        world.run_for(3_000)
        for name in NAMES:
            words = gossips.heard[name]
            assert len(words) == len(set(words)), "each word once"
            assert {word.split(b"#")[0] for word in words} == {other.encode() for other in NAMES if other != name}


def test_a_crashed_and_a_split_mesh_come_together_again() -> None:
    gossips = Gossips(2)
    with gossips.world as world:
        assert world.run_until(gossips.meshed, 5_000)
        world.crash("n3")
        assert world.run_until(lambda: len(gossips.switches["n0"].peers()) == 2, 20_000)
        world.start("n3", gossips.program)
        assert world.run_until(gossips.meshed, 20_000)
        world.partition(["n0", "n1"], ["n2", "n3"])
        world.run_for(2_000)
        heard = len(gossips.heard["n0"])
        world.run_for(2_000)
        assert {word[:2] for word in gossips.heard["n0"][heard:]} <= {b"n1"}
        world.heal()
        assert world.run_until(gossips.meshed, 60_000)
        world.run_for(2_000)
        assert {word[:2] for word in gossips.heard["n0"][-8:]} == {b"n1", b"n2", b"n3"}


@pytest.mark.parametrize("shuffle", [False, True])
def test_the_same_seed_is_the_same_run(shuffle: bool) -> None:
    assert run_story(7, shuffle) == run_story(7, shuffle) != run_story(8, shuffle)


def test_the_hash_is_the_same_in_another_process_under_another_hash_seed() -> None:
    here = run_story(7, True)
    for hash_seed in ("0", "1234"):
        assert elsewhere(sys.executable, hash_seed) == here


def elsewhere(python: str, hash_seed: str) -> str:
    run = subprocess.run(
        [python, __file__],
        env={
            **os.environ,
            "PYTHONHASHSEED": hash_seed,
            "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[3]), *sys.path]),
        },
        capture_output=True,
        text=True,
        check=True,
        timeout=100,
    )
    return run.stdout.strip()


def failing(kind: str) -> Callable[[Machine, Runtime, SimulatedDatabase], object]:
    async def program(machine: Machine, runtime: Runtime, database: SimulatedDatabase) -> None:
        await asyncio.sleep(1)
        if kind == "program":
            raise LookupError("a bug")
        asyncio.get_running_loop().call_soon(lambda: {}["a bug"])  # type: ignore[misc]
        await asyncio.sleep(1)

    return program


@pytest.mark.parametrize("kind", ["program", "callback"])
def test_a_program_that_fails_fails_the_run(kind: str) -> None:
    with World(1) as world:
        world.add_machine("n0")
        world.start("n0", failing(kind))  # type: ignore[arg-type]
        with pytest.raises(ProgramFailed, match=r"a bug.*seed 1"):
            world.run_for(5_000)


if __name__ == "__main__":
    print(run_story(7, True))
