"""Whole nodes with a state history of two blocks, under every fault the seeds bring: nothing that is needed goes."""

import pytest

from network.cli.simulate import _Choice
from network.simulator import blueprint
from node.chain import pruning
from node.chain.chain import Chain
from node.config import NodeSettings

pytestmark = pytest.mark.campaign


@pytest.mark.parametrize("engine", ["bft", "pos"])
def test_short_histories_under_faults(engine, monkeypatch):
    monkeypatch.setattr(blueprint, "NodeSettings", lambda **given: NodeSettings(**{**given, "state_history": 2}))
    monkeypatch.setattr(pruning, "MARKED_AT_ONCE", 8)
    monkeypatch.setattr(pruning, "SWEPT_AT_ONCE", 16)
    deleted = []
    prune = Chain.prune

    async def counted(chain, history):
        done = await prune(chain, history)
        deleted.append(done.deleted_nodes)
        return done

    monkeypatch.setattr(Chain, "prune", counted)
    choice = _Choice(engine, 2, None, 30_000, None)
    for seed in range(4):
        result = choice.run(seed)
        assert result.violation is None, result.sentence()
    assert sum(deleted) > 500
