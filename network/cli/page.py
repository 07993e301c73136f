"""``page``: where a network's page is; brought back where it has ended."""

from __future__ import annotations

import click

from network.cli.group import json_option, network_option
from network.cli.output import Output
from network.cluster import companion, run_directory
from network.failures import BadInput, Failure


@click.command(epilog="\b\nExamples:\n  evmesh page\n  xdg-open $(evmesh page)\n")
@network_option
@json_option
def page(network_name: str | None, as_json: bool) -> None:
    """Print the address of the network's page, and start its process again where it has ended."""
    out = Output(as_json)
    run = run_directory.find(network_name)
    network = run.network()
    if network.page_port is None:
        raise BadInput(
            f"network {run.name} was started without a page",
            f"evmesh down {run.name}; evmesh up --resume --name {run.name} --page-port 8600",
        )
    companion.start(run, companion.COMPANION_PAGE)
    if not companion.wait_page(run, network.page_port):
        raise Failure("the page's process has ended again", f"its log: {companion.page_log(run)}")
    out.line(network.page_url or "")
    out.document({"network": run.name, "url": network.page_url})
