"""``demo``: the main job's options. The work is in main_job_steps.py, loaded while the fork server warms up."""

from __future__ import annotations

import click

from network.cli.group import json_option
from network.cli.output import Output
from network.cluster.warm_server import WarmServer


@click.command(
    epilog="""\b
Examples:
  evmesh demo             leaves the network up and says how to stop it
  evmesh demo --once      stops it at the end
  evmesh demo --nodes 7 --json --once
Exit code 0: every node agrees. 3: they differ, and the output says who and in what.
""",
)
@click.option("--once", is_flag=True, help="Stop the network at the end.")
@click.option("--nodes", type=int, default=4, show_default=True, help="How many nodes.")
@click.option("--block-time", type=float, default=1.0, show_default=True, help="Seconds between blocks.")
@click.option("--consensus", default="bft", show_default=True, help="bft, or pos (final after some seconds).")
@click.option("--port", type=int, envvar="EVMESH_PORT", help="JSON-RPC of node i: port + i (default 8545; 0: free).")
@click.option("--p2p-port", type=int, envvar="EVMESH_P2P_PORT", help="Peers of node i: port + i (default 30303).")
@json_option
def demo(once: bool, as_json: bool, **values: object) -> None:
    """Start nodes, run an OpenZeppelin token on them, and show that all agree.

    Deploys the token, submits 200 signed transfers to all nodes in turn, waits until they are final, and
    compares block hash, state root, total supply and a balance on every node.
    """
    out = Output(as_json)
    out.progress(f"starting {values['nodes']} nodes")
    server = WarmServer()
    try:
        # imported here: while this loads, the server loads the node's modules on another core
        from network.cli.main_job_steps import carry_out

        carry_out(server, {key: one for key, one in values.items() if one is not None}, once, out)
    finally:
        server.close()
