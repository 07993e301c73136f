"""More than a third is Byzantine and the honest are cut in two: the chain forks, and the guilty are known.

Every fork must convict more than a third of the weight (pos: at least a third) and nobody honest, from what left the
nodes. Forced by twins with one key on both sides, and by liars that change sides after losing what they signed.
"""

import os
import random

import pytest

from network.faults.vocabulary import FaultAction, Plan
from network.simulator.level1.pos_world import PosWorld
from network.simulator.level1.world import World
from network.simulator.scenario import Scenario

SEEDS = int(os.environ.get("LEVEL1_SEEDS", "6"))
UNTIL_MS = {"bft": 9000, "pos": 24_000}
"""pos finalizes two epochs later, so its sides need longer."""
CHANGE_MS = {"bft": 3500, "pos": 11_000}


class _BftSides(World):
    """Twins are seen by everybody on their side of the cut."""

    def _in_sight(self, node, target):
        return True


class _PosSides(PosWorld):
    """The same."""

    def _in_sight(self, node, target):
        return True


def _sides(chance: random.Random, nodes: int, liars: int) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Liars, and the honest in two halves."""
    names = [f"n{index}" for index in range(nodes)]
    chance.shuffle(names)
    honest = names[liars:]
    half = len(honest) // 2
    return tuple(names[:liars]), tuple(honest[:half]), tuple(honest[half:])


def _twins(chance, engine, nodes, liars):
    """One half of each liar votes with one side, the other with the other."""
    guilty, one, _ = _sides(chance, nodes, liars)
    cut = FaultAction(0, "partition", (*one, *guilty), {}, UNTIL_MS[engine] - 1)
    return [FaultAction(0, "twins", guilty), cut]


def _lying_twins(chance, engine, nodes, liars):
    """The same, and they do not even tell each side one story."""
    actions = _twins(chance, engine, nodes, liars)
    kind = chance.choice(("equivocating-proposer", "double-vote", "silent-voter"))
    return [*actions, FaultAction(0, kind, actions[0].targets, {"share": 0.1})]


def _turncoats(chance, engine, nodes, liars):
    """First they decide with one side; then they lose their disks, and decide with the other."""
    guilty, one, other = _sides(chance, nodes, liars)
    change_ms = CHANGE_MS[engine]
    return [
        FaultAction(0, "silent-voter", guilty, {"share": 0.0}),  # named as liars; they tell no other lies
        FaultAction(0, "partition", other, {}, change_ms),
        FaultAction(change_ms, "partition", one, {}, UNTIL_MS[engine] - 1),
        *(FaultAction(change_ms + 1, "lost-disk", (name,), {}, change_ms + 50) for name in guilty),
    ]


def _world(make, engine, seed, nodes, liars):
    actions = make(random.Random(f"forks {seed} {nodes}"), engine, nodes, liars)
    until_ms = UNTIL_MS[engine]
    faults = Plan(tuple(actions))
    scenario = Scenario(engine, seed, nodes, until_ms=until_ms, calm_ms=until_ms - 1, delay_ms=40, faults=faults)
    return _BftSides(scenario) if engine == "bft" else _PosSides(scenario)


@pytest.mark.parametrize("make", [_twins, _lying_twins, _turncoats], ids=lambda make: make.__name__)
@pytest.mark.parametrize(
    ("engine", "nodes", "liars"), [("bft", 4, 2), ("bft", 7, 3), ("bft", 10, 4), ("pos", 4, 2), ("pos", 7, 3)]
)
def test_every_fork_convicts_the_guilty_and_nobody_honest(make, engine, nodes, liars):
    forks = 0
    runs = max(4, SEEDS * 4 // nodes)
    for seed in range(runs):
        world = _world(make, engine, seed, nodes, liars)
        outcome = world.run()
        if outcome.violation is None:
            continue
        judge = world.judge
        assert outcome.violation.kind == "agreement", f"seed {seed}: {outcome.violation}"
        forks += 1
        guilty, total = judge.validators.weight_of_all(outcome.convicted), judge.validators.total_weight
        assert 3 * guilty > total or (engine == "pos" and 3 * guilty == total), f"seed {seed}: {outcome.convicted}"
        for found in (outcome.convicted, judge.convicted_independently()):
            assert not [one for one in found if one in judge.honest], f"seed {seed}"
    assert 3 * forks >= runs, f"{forks} forks in {runs} runs: they are meant to be forced"
