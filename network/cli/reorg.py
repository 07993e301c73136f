"""``reorg``: have blocks replaced, as a split network does it."""

from __future__ import annotations

from dataclasses import asdict

import click

from network.cli.group import json_option, network_option
from network.cli.output import Output, seconds
from network.cluster import run_directory
from network.cluster.fault_words import require_links
from network.cluster.reorg import bring_about, check_depth, sides_of
from network.cluster.reports import listed, take_reports


@click.command(epilog="\b\nExamples:\n  evmesh reorg --depth 2\n  evmesh reorg --depth 3 --json\n")
@click.option(
    "--depth", type=click.IntRange(min=1), default=1, show_default=True, help="Blocks to be replaced, at least."
)
@network_option
@json_option
def reorg(depth: int, network_name: str | None, as_json: bool) -> None:
    """Split the network, let both sides build, heal it: one side's blocks are replaced (engine pos).

    Refused where that would reach below the finalized block, and with engines whose blocks are final at once.
    """
    out = Output(as_json)
    run = run_directory.find(network_name)
    reports = take_reports(run)
    check_depth(reports, depth)
    require_links(run)
    done = bring_about(run, sides_of(reports), depth, out.progress)
    if done.depth:
        out.line(
            f"reorg on {listed(done.losers)}: depth {done.depth}, "
            f"#{done.fork_number + 1} to #{done.fork_number + done.depth} replaced; "
            f"#{done.finalized} is final on all nodes {seconds(done.seconds)} after healing"
        )
    else:
        out.line(f"no block was replaced; #{done.finalized} is final on all nodes")
    out.document(asdict(done))
