"""What an operator watches, beside the requests (service.py): marks, blocks, execution, reorganisations, consensus."""

from __future__ import annotations

from typing import Any, Final

from node.chain.feed import Executed, Finalized, NewHead, News
from node.rpc.backend import Backend
from node.telemetry.metrics import Metrics

EXECUTION_BOUNDS: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
"""Seconds."""
DEPTH_BOUNDS: Final = (1, 2, 3, 5, 8, 13, 21, 34, 55)
"""Blocks."""
CONSENSUS_NUMBERS: Final = ("height", "round", "slot", "epoch")


def register_node_metrics(metrics: Metrics, backend: Backend) -> None:
    """Those of a node: some read when somebody scrapes, the others counted as news comes."""
    chain = backend.chain
    for mark in ("head", "safe", "finalized"):
        metrics.gauge(
            f"evmesh_{mark}_block_number",
            f"Height of the {mark} block.",
            read=lambda mark=mark: getattr(chain, mark).number,  # type: ignore[misc]
        )
    metrics.gauge("evmesh_head_gas_used", "Gas used by the head block.", read=lambda: chain.head.gas_used)
    metrics.gauge("evmesh_head_timestamp_seconds", "Time of the head block.", read=lambda: chain.head.timestamp)
    metrics.gauge("evmesh_peers", "Connected peers.", read=lambda: len(backend.peers()))
    metrics.gauge("evmesh_pool_pending", "Executable transactions in the pool.", read=lambda: backend.pool.status()[0])
    metrics.gauge("evmesh_pool_queued", "Transactions that wait for a gap.", read=lambda: backend.pool.status()[1])
    metrics.gauge(
        "evmesh_consensus",
        "Where consensus stands, as far as the engine has it: height, round, slot, epoch, evidence.",
        ("what",),
        read=lambda: _consensus(dict(backend.consensus.inspect())),
    )
    _count_news(metrics, backend)


def _consensus(facts: dict[str, Any]) -> dict[tuple[str, ...], float]:
    told: dict[tuple[str, ...], float] = {}
    for name in CONSENSUS_NUMBERS:
        number = facts.get(name)
        if isinstance(number, int) and not isinstance(number, bool):
            told[(name,)] = number
    evidence = facts.get("evidence")
    if isinstance(evidence, list | tuple | dict):
        told[("evidence",)] = len(evidence)
    return told


def _count_news(metrics: Metrics, backend: Backend) -> None:
    blocks = metrics.counter("evmesh_blocks_total", "Blocks that became canonical here.")
    transactions = metrics.counter("evmesh_transactions_total", "Transactions of blocks that became canonical here.")
    gas = metrics.counter("evmesh_gas_total", "Gas of blocks that became canonical here; its rate is gas a second.")
    finalized = metrics.counter("evmesh_finalizations_total", "Times that the finalized mark moved.")
    depths = metrics.histogram(
        "evmesh_reorganisation_depth_blocks", "Blocks undone by a reorganisation.", bounds=DEPTH_BOUNDS
    )
    durations = metrics.histogram(
        "evmesh_block_execution_seconds", "Time to execute or build a block.", ("kind",), bounds=EXECUTION_BOUNDS
    )

    def told(news: News) -> None:
        if isinstance(news, NewHead):
            blocks.add(len(news.added))
            transactions.add(sum(len(block.transactions) for block in news.added))
            gas.add(sum(block.header.gas_used for block in news.added))
            if news.removed:
                depths.observe(len(news.removed))
        elif isinstance(news, Executed):
            durations.observe(news.elapsed_ms / 1000, "built" if news.built else "executed")
        elif isinstance(news, Finalized):
            finalized.add()

    backend.chain.feed.subscribe(told)
