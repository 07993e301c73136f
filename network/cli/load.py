"""``load``: transactions at a rate that does not wait for anybody, and what became of them."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from pathlib import Path
from typing import Self

import click

from network.cli.group import json_option, network_option
from network.cli.output import Output, seconds
from network.cli.progress import progress
from network.cli.quantities import duration_ms
from network.client import NodeClient
from network.cluster import companion, run_directory
from network.cluster.fault_words import node_list
from network.cluster.observer import compare
from network.cluster.plan_player import Step, play
from network.cluster.run_directory import RunDirectory
from network.failures import BadInput, Disagreement, Failure, TimedOut
from network.faults.vocabulary import BadPlan, Plan, read_plan
from network.load.generator import Pace, Target
from network.load.plot import Mark, plot
from network.load.report import Latency, Report
from network.load.run import carry_out
from network.load.workloads import KINDS, Stage
from network.provision import funded_accounts

RATE_MAX = 5000.0


@click.command(
    epilog="""\b
Examples:
  evmesh load                                 token transfers, 50 a second, for 20 seconds
  evmesh load transfers deploys --rate 200    both, in turn
  evmesh load blobs --rate 2 --for 30s
  evmesh load --for 2min --plan plan.toml --plot load.svg
Kinds: transfers, token, contention (one slot that all write), deploys, blobs.
Exit code 1: something was refused, failed or got lost; 3: the nodes differ; 4: not all was final in time.
"""
)
@click.argument("kinds", nargs=-1, metavar="[KIND]...")
@click.option("--rate", type=click.FloatRange(0.01, RATE_MAX), default=50.0, show_default=True, help="A second.")
@click.option("--for", "length", default="20s", show_default=True, metavar="TIME", help="How long.")
@click.option("--senders", type=click.IntRange(1, 1000), default=32, show_default=True, help="Accounts that send.")
@click.option("--nodes", "node_names", default="all", show_default=True, metavar="NODES", help="Whom to send to.")
@click.option("--seed", type=int, default=1, show_default=True, help="Of receivers and amounts.")
@click.option(
    "--settle", default="60s", show_default=True, metavar="TIME", help="Wait so long without news at the end."
)
@click.option("--plan", type=click.Path(path_type=Path), help="Carry out a plan of faults meanwhile.")
@click.option("--plot", "plot_file", type=click.Path(path_type=Path), help="Draw it into this file (SVG).")
@network_option
@json_option
def load(
    kinds: tuple[str, ...],
    rate: float,
    length: str,
    senders: int,
    node_names: str,
    seed: int,
    settle: str,
    plan: Path | None,
    plot_file: Path | None,
    network_name: str | None,
    as_json: bool,
) -> None:
    """Send transactions at a steady rate and measure how long they take until they are in a block, and final.

    The rate is kept whatever the network does, and latencies count from the moment each transaction was due.
    """
    out = Output(as_json)
    chosen = kinds or ("token",)
    for kind in chosen:
        if kind not in KINDS:
            raise BadInput(f"there is no load called {kind!r}", f"known: {', '.join(KINDS)}")
    if plot_file is not None and plot_file.suffix != ".svg":
        raise BadInput(f"{plot_file} is no name of an SVG file", "let it end in .svg")
    pace = Pace(rate, duration_ms(length) / 1000, seed)
    settle_seconds = duration_ms(settle) / 1000
    run = run_directory.find(network_name)
    faults = _plan(run, plan)
    network = run.network()
    running = run.running()
    chosen_nodes = [name for name in node_list(run, node_names) if name in running]
    if not chosen_nodes:
        raise Failure(f"none of {node_names} is running", "evmesh restart NODE starts one")
    entries = [node for node in network.nodes if node.name in chosen_nodes]
    clients = [NodeClient(node.url, node.name) for node in entries]
    out.progress(f"{senders} senders are funded, contracts are deployed")
    stage = Stage(clients, funded_accounts(network), network.chain_id, _sender_seed(network.mnemonic, seed))
    accounts = stage.senders(senders)
    draws = [(kind, stage.draw(kind, accounts)) for kind in chosen]
    targets = [Target(node.name, node.url) for node in entries]
    marks: list[Mark] = []
    with progress("load", pace.count, quiet=as_json) as bar, _Faults(run, faults, marks) as player:

        def told(what: str, count: int) -> None:
            bar.at(count, "sent" if what == "sent" else "final")

        report = asyncio.run(carry_out(targets, accounts, draws, network.chain_id, pace, settle_seconds, told))
    for step in player.failed:
        out.progress(f"warning: a step of the plan could not be done: {step}")
    if plot_file is not None:
        plot_file.write_text(plot(report, marks), "utf-8")
        out.progress(f"drawn into {plot_file}")
    _show(out, report)
    out.document({**report.to_json(), "plan_failed": player.failed})
    _judge(run, clients, report)


def _sender_seed(mnemonic: str, seed: int) -> bytes:
    """Keys that follow from the network and the seed: a second load finds its senders again, with ether."""
    return hashlib.sha512(f"{mnemonic} load {seed}".encode()).digest()


def _plan(run: RunDirectory, path: Path | None) -> Plan:
    try:
        plan = Plan() if path is None else read_plan(path)
        plan.check_names(run.node_names())
        return plan
    except BadPlan as error:
        raise BadInput(str(error), "evmesh inject --help shows a plan") from None


class _Faults:
    """A plan carried out beside the load, from a thread of its own."""

    def __init__(self, run: RunDirectory, plan: Plan, marks: list[Mark]) -> None:
        self.failed: list[str] = []
        """What could not be done."""
        self._marks = marks
        self._thread = threading.Thread(target=self._play, args=(run, plan), name="plan", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._thread.join()

    def _play(self, run: RunDirectory, plan: Plan) -> None:
        try:
            self.failed = [str(step) for step in play(run, plan, False, self._told)]
        except Failure as failure:  # told when the load is over: it goes on without the faults
            self.failed = [failure.message]

    def _told(self, step: Step) -> None:
        words = f"{'' if step.begins else 'end of '}{step.action.kind} {','.join(step.action.targets)}"
        self._marks.append(Mark(step.at_ms / 1000, words))


def _show(out: Output, report: Report) -> None:
    out.line(
        f"{', '.join(report.kinds)}: {report.sent} sent at {report.offered_per_s:g}/s, {report.included} in blocks, "
        f"{report.final} final, {report.refused} refused, {report.failed} failed, {report.lost} lost"
    )
    out.line(f"throughput {report.included_per_s:g} tx/s, {report.gas_per_s / 1e6:.2f} Mgas/s")
    if report.resent:
        out.line(f"{report.resent} were sent again, because a node did not answer")
    out.line()
    rows = [
        ["answered", *_cells(report.submit_ms)],
        ["in a block", *_cells(report.included_ms)],
        ["final", *_cells(report.final_ms)],
    ]
    out.table(["from the due moment until", "p50", "p90", "p95", "p99", "max"], rows)
    out.line()
    out.table(
        ["node", "sent to it", "accepted", "answer p95", "in its blocks", "tx/s", "Mgas/s", "blocks", "undone"],
        [
            [
                node.name,
                str(node.submitted),
                str(node.accepted),
                _time(node.submit_ms.p95),
                str(node.included),
                f"{node.head_transactions_per_s:g}",
                f"{node.gas_per_s / 1e6:.2f}",
                str(node.blocks),
                str(node.undone),
            ]
            for node in report.nodes
        ],
    )
    for reason, count in report.refusals.items():
        out.line(f"refused {count} times: {reason}")
    if report.was_late:
        out.line(
            f"warning: the sender itself was late ({_time(report.start_late_ms.p99)} for one in a hundred): "
            "this machine cannot keep this rate"
        )


def _cells(latency: Latency) -> list[str]:
    return [_time(value) for value in (latency.p50, latency.p90, latency.p95, latency.p99, latency.max)]


def _time(milliseconds: float | None) -> str:
    return "-" if milliseconds is None else seconds(milliseconds / 1000)


def _judge(run: RunDirectory, clients: list[NodeClient], report: Report) -> None:
    """Raises Disagreement, TimedOut or Failure where the load did not end well."""
    companion.check_verdict(run)
    comparison = compare(clients, [], "finalized")
    if len({reading.compared for reading in comparison.answered}) > 1:
        raise Disagreement(f"{', '.join(comparison.differing())} differ at block #{comparison.height}", "evmesh bisect")
    if report.lost or (report.final < report.accepted):
        raise TimedOut(
            f"{report.lost} of {report.accepted} accepted transactions are in no block, "
            f"{report.accepted - report.final} are not final",
            "evmesh status and evmesh why show what the network waits for; --settle waits longer",
        )
    if not report.clean:
        raise Failure(
            f"{report.refused} refused, {report.failed} failed", "a lower --rate, or more --senders, may be taken"
        )
