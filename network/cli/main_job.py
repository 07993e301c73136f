"""``demo``: the main job, from nothing to a judged table."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from network.cli.group import json_option
from network.cli.lifecycle import Terminated, begin, termination_as_exception
from network.cli.output import Output, seconds, shorten, shown
from network.cluster import process, run_directory
from network.cluster.observer import clients_of
from network.cluster.run_directory import NetworkFile
from network.cluster.supervisor import Supervisor
from network.demo import MainJob, Verdict
from network.failures import EXIT_INTERRUPTED, Disagreement
from network.manifest import Manifest
from network.provision import funded_accounts
from node.primitives.scalars import ETHER


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
@click.option("--port", type=int, envvar="EVMESH_PORT", help="JSON-RPC of node i: port + i (default 8545; 0: free).")
@click.option("--p2p-port", type=int, envvar="EVMESH_P2P_PORT", help="Peers of node i: port + i (default 30303).")
@json_option
def demo(once: bool, nodes: int, block_time: float, port: int | None, p2p_port: int | None, as_json: bool) -> None:
    """Start nodes, run an OpenZeppelin token on them, and show that all agree.

    Deploys the token, submits 200 signed transfers to all nodes in turn, waits until they are final, and
    compares block hash, state root, total supply and a balance on every node.
    """
    out = Output(as_json)
    values: dict[str, Any] = {"nodes": nodes, "block_time": block_time, "port": port, "p2p_port": p2p_port}
    manifest = Manifest().with_values({key: one for key, one in values.items() if one is not None}, "command line")
    out.progress(f"starting {nodes} nodes")
    run, server = begin(manifest.checked(), clean=False, out=out)
    run_directory.mark_latest(run)
    network = run.network()
    supervisor = Supervisor(run, out.progress)
    keep = False
    with termination_as_exception():
        try:
            supervisor.start(server)
            supervisor.wait_connected()
            out.progress(f"ready after {process.seconds_since_start():.1f} s · run dir {run.path}")
            job = MainJob(clients_of(network), funded_accounts(network), network.chain_id, out.progress)
            verdict = job.run()
            keep = not once
            _show(out, network, verdict, once)
        except (KeyboardInterrupt, Terminated):
            out.progress("interrupted; stopping the network")
            raise click.exceptions.Exit(EXIT_INTERRUPTED) from None
        finally:
            if keep:
                supervisor.detach()
            else:
                supervisor.stop()
                out.progress(f"network {run.name} is stopped; its logs: {run.path}")
    if not verdict.agree:
        raise Disagreement("; ".join(verdict.differences), f"the nodes' logs are in {run.path}")


def _show(out: Output, network: NetworkFile, verdict: Verdict, once: bool) -> None:
    rows = [
        [
            row.node,
            shown(row.head),
            shorten(row.block_hash or "-", 10, 6),
            shorten(row.state_root or "-", 10, 6),
            _tokens(row.total_supply),
            _tokens(row.balance),
            "yes" if row.equal else "NO",
        ]
        for row in verdict.rows
    ]
    note = "✔ all agree" if verdict.agree else "✘ " + "; ".join(verdict.differences)
    columns = [
        "node",
        "head",
        f"block hash #{verdict.block}",
        f"state root #{verdict.block}",
        "total supply",
        f"balance {shorten(verdict.sampled)}",
        "equal",
    ]
    out.table(columns, rows, note)
    for reason in dict.fromkeys(verdict.revert_reasons):
        who = [row.node for row, one in zip(verdict.rows, verdict.revert_reasons, strict=True) if one == reason]
        out.line(f"reverted on {','.join(who)}: {verdict.reverted_call}: {reason}")
    out.line(f"{verdict.transfers} transfers final on {len(verdict.rows)} nodes in {seconds(verdict.seconds)}")
    if not once:
        out.line()
        out.line("The network stays up:")
        for node in network.nodes:
            out.line(f"  {node.name}  {node.url}")
        out.line(f"  look   evmesh status --network {network.name}")
        out.line(f"  stop   evmesh down {network.name}")
    out.document(
        {
            "network": network.name,
            "urls": [node.url for node in network.nodes],
            "stopped": once,
            "agree": verdict.agree,
            **{key: _json(value) for key, value in asdict(verdict).items()},
        }
    )


def _tokens(amount: int | None) -> str:
    """18 decimals, as the token has."""
    if amount is None:
        return "-"
    whole, part = divmod(amount, ETHER)
    return f"{whole}.{part:018}".rstrip("0").rstrip(".")


def _json(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _json(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_json(one) for one in value]
    return str(value) if isinstance(value, int) and not isinstance(value, bool) and value >= 2**53 else value
