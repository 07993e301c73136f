"""What /metrics tells of blocks, execution, reorganisations and consensus."""

from __future__ import annotations

import re
from typing import Any

from node.rpc.node_metrics import register_node_metrics


def samples(devnet: Any) -> dict[str, float]:
    text = devnet.metrics.render().decode()
    return {name: float(value) for name, value in re.findall(r"^(evmesh_\S+) (\S+)$", text, re.MULTILINE)}


async def test_blocks_gas_and_execution_are_counted(devnet: Any) -> None:
    register_node_metrics(devnet.metrics, devnet.backend)
    await devnet.send(devnet.signed(value=1))
    first = await devnet.mine()
    other = await devnet.mine(parent=devnet.chain.genesis_hash, extra=b"other")
    assert devnet.chain.head.hash == other
    told = samples(devnet)
    assert told["evmesh_blocks_total"] == 2
    assert told["evmesh_transactions_total"] == 1
    assert told["evmesh_gas_total"] == 21_000
    assert told['evmesh_block_execution_seconds_count{kind="built"}'] == 2
    assert 'evmesh_block_execution_seconds_count{kind="executed"}' not in told
    assert told["evmesh_reorganisation_depth_blocks_count"] == 1
    assert told['evmesh_reorganisation_depth_blocks_bucket{le="1"}'] == 1
    assert told["evmesh_head_block_number"] == 1
    assert first != other


async def test_consensus_numbers_are_those_that_the_engine_has(devnet: Any, monkeypatch: Any) -> None:
    register_node_metrics(devnet.metrics, devnet.backend)
    facts = {"height": 7, "round": 2, "evidence": [1, 2], "slot": None, "watchOnly": True}
    monkeypatch.setattr(type(devnet.backend.consensus), "inspect", lambda self: facts)
    told = samples(devnet)
    assert told['evmesh_consensus{what="height"}'] == 7
    assert told['evmesh_consensus{what="round"}'] == 2
    assert told['evmesh_consensus{what="evidence"}'] == 2
    assert 'evmesh_consensus{what="slot"}' not in told


async def test_an_operator_finds_what_he_needs(devnet: Any) -> None:
    register_node_metrics(devnet.metrics, devnet.backend)
    await devnet.send(devnet.signed(value=1))
    await devnet.mine()
    await devnet.ask("eth_call", {"to": "0x" + "00" * 20})
    told = samples(devnet)
    for name in (
        "evmesh_head_block_number",
        "evmesh_safe_block_number",
        "evmesh_finalized_block_number",
        "evmesh_peers",
        "evmesh_pool_pending",
        "evmesh_pool_queued",
        'evmesh_consensus{what="round"}',
        'evmesh_block_execution_seconds_sum{kind="built"}',
        "evmesh_gas_total",
        'evmesh_rpc_requests_total{method="eth_call",outcome="ok"}',
        'evmesh_rpc_duration_seconds_bucket{le="0.025",method="eth_call"}',
    ):
        assert name in told, name
