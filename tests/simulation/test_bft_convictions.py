"""Level 1 with the set in the state: liars are found, convicted by blocks, and the rest goes on without them."""

import os

import pytest

from network.simulator.level1.convictions import ConvictingWorld
from network.simulator.level1.world import drawn_plan

SEEDS = int(os.environ.get("LEVEL1_SEEDS", "6"))


@pytest.mark.parametrize(("nodes", "byzantine"), [(4, 1), (7, 2)])
def test_liars_lose_their_vote_and_nobody_else_does(nodes, byzantine):
    convicted = 0
    for seed in range(max(2, SEEDS * 4 // nodes)):
        world = ConvictingWorld(drawn_plan(seed, nodes=nodes, byzantine=byzantine, lie_rate=0.2))
        outcome = world.run()
        assert outcome.violation is None, f"seed {seed}: {outcome.violation}"
        convicted += len(world.convicted_in_blocks)
        assert world.changes > len(world.convicted_in_blocks), "weights change by transactions too"
        honest = [node for node in world.nodes.values() if world.is_honest(node)]
        for node in honest:
            assert node.engine.validators.addresses == node.set_now().addresses
            gone = [one for one in world.validators.addresses if one not in node.engine.validators]
            assert all(one in world.convicted_in_blocks for one in gone)
        heights = [len(node.chain) for node in honest]
        assert max(heights) - min(heights) <= 3
    assert convicted, "liars were convicted by blocks in some of these seeds"


def test_a_seed_repeats_byte_for_byte():
    plan = drawn_plan(3, byzantine=1, lie_rate=0.3, gst_ms=8000, until_ms=12_000)
    assert ConvictingWorld(plan).run().trace_hash == ConvictingWorld(plan).run().trace_hash
