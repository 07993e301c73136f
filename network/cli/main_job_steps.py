"""What ``demo`` does: start, run the job, show the verdict, stop or leave the network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import click

from network.cli.output import Output, seconds, shorten, shown
from network.cli.start import Terminated, termination_as_exception
from network.cluster import process, run_directory
from network.cluster.observer import clients_of
from network.cluster.run_directory import NetworkFile
from network.cluster.supervisor import Supervisor
from network.cluster.warm_server import WarmServer
from network.demo import MainJob, Verdict
from network.failures import EXIT_INTERRUPTED, Disagreement
from network.manifest import Manifest
from network.provision import begin, funded_accounts
from node.primitives.scalars import ETHER


def carry_out(server: WarmServer, values: Mapping[str, object], once: bool, out: Output) -> None:
    """The whole of it. Raises Disagreement where nodes differ, Failure where a step fails."""
    wanted = Manifest().with_values({**values, "page": not once}, "command line")
    run = begin(wanted.checked(), report=out.progress)
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
            supervisor.open_page()
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
        if network.page_url is not None:
            out.line(f"         {network.page_url} in a browser")
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
