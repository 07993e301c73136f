"""``tree``: the blocks that are not final yet."""

from __future__ import annotations

import click

from network.cli.group import json_option, network_option
from network.cli.output import Output
from network.cluster import run_directory
from network.cluster.branches import bft_tip, draw, unfinalized
from network.cluster.reports import listed, take_reports
from network.failures import Failure


@click.command(epilog="\b\nExamples:\n  evmesh tree\n  evmesh tree --json\n")
@network_option
@json_option
def tree(network_name: str | None, as_json: bool) -> None:
    """Draw the blocks above the finalized one: branches, their weights, who voted for which.

    With engine bft a block that is there is final, so what is drawn is the block being decided.
    """
    out = Output(as_json)
    run = run_directory.find(network_name)
    reports = take_reports(run)
    if not reports.answering:
        raise Failure("no node answers", "evmesh status shows which nodes run")
    blocks = unfinalized(reports)
    lines = draw(blocks) + (bft_tip(reports) if reports.engine == "bft" else [])
    for line in lines:
        out.line(line)
    silent = [report.name for report in reports.nodes if not report.answers]
    if silent:
        out.line(f"not heard: {listed(silent)}")
    out.document(
        {
            "network": run.name,
            "engine": reports.engine,
            "blocks": [block.to_json() for block in sorted(blocks.values(), key=lambda one: one.number)],
            "lines": lines,
            "silent": silent,
        }
    )
