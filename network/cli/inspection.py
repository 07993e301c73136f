"""``status``, ``logs``, ``accounts``, ``env``: look at a network."""

from __future__ import annotations

import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click

from network.amounts import format_ether
from network.cli.completing import node_names
from network.cli.group import json_option, network_option
from network.cli.live import live
from network.cli.output import Output
from network.cli.resolve import client_of
from network.cli.status_table import Pace, conflicts, status_rows
from network.client import NodeUnreachable
from network.cluster import companion, run_directory
from network.cluster.fault_board import read_board
from network.cluster.observer import NodeStatus, observe
from network.cluster.process import tail
from network.cluster.run_directory import RunDirectory
from network.failures import BadInput, Disagreement
from network.provision import funded_accounts, genesis_balances
from node.primitives.hexadecimal import to_data


@click.command(epilog="\b\nExamples:\n  evmesh status\n  evmesh status --watch\n  evmesh status --json\n")
@click.option("--watch", is_flag=True, help="Again and again, until Ctrl-C.")
@click.option(
    "--interval", type=click.FloatRange(min=0.1), default=1.0, show_default=True, help="Seconds between looks."
)
@network_option
@json_option
def status(watch: bool, interval: float, network_name: str | None, as_json: bool) -> None:
    """Show where every node stands. Exit code 3 when two nodes have different blocks at one height."""
    out = Output(as_json)
    run = run_directory.find(network_name, must_run=False)
    if watch:
        watch_network(run, interval, out)
    else:
        _look(run).show(out)


def watch_network(run: RunDirectory, interval: float, out: Output) -> None:
    """Where every node stands, again and again until Ctrl-C. Raises Disagreement."""
    pace = Pace()
    with live(out) as screen:
        while True:
            look = _look(run)
            if out.as_json:
                out.record(look.document)
            columns, rows = status_rows(look.statuses)
            paces = pace.of(look.statuses)
            rows = [[*row, paces[row[0]]] for row in rows]
            screen.show([*columns, "blocks/s"], rows, above=[f"network {run.name}"], below=look.notes)
            look.judge(run)
            time.sleep(interval)


@dataclass(frozen=True, slots=True)
class _Look:
    """A network at one moment."""

    run: RunDirectory
    statuses: list[NodeStatus]
    notes: list[str]
    document: dict[str, Any]

    def show(self, out: Output) -> None:
        out.line(f"network {self.run.name}")
        out.table(*status_rows(self.statuses))
        for note in self.notes:
            out.line(note)
        out.document(self.document)
        self.judge(self.run)

    def judge(self, run: RunDirectory) -> None:
        companion.check_verdict(run)
        wrong = conflicts(self.statuses)
        if wrong:
            raise Disagreement("; ".join(wrong), f"the nodes' logs are in {run.path}")


def _look(run: RunDirectory) -> _Look:
    statuses = observe(run)
    board = read_board(run.path)
    since = {str(fault): fault.clock for fault in board.lasting}
    notes = [f"fault: {words}, since {clock}" for words, clock in since.items()]
    judged = companion.record_of(run, companion.COMPANION_JUDGE) is not None
    if not judged and any(one.state == "running" for one in statuses):
        notes.append("note: nothing watches this network's promises; its judge has ended or was never started")
    document = {
        "judged": judged,
        "name": run.name,
        "run_dir": str(run.path),
        "nodes": [asdict(one) for one in statuses],
        "faults": [fault.to_json() for fault in board.lasting],
    }
    return _Look(run, statuses, notes, document)


@click.command(
    epilog="\b\nExamples:\n  evmesh logs         all nodes, by time\n  evmesh logs n2 -f   one node, as it goes\n"
)
@click.argument("node", required=False, shell_complete=node_names)
@click.option("-f", "--follow", is_flag=True, help="Go on as lines are written.")
@click.option(
    "-n", "--lines", type=click.IntRange(0, 100_000), default=50, show_default=True, help="Last lines of each."
)
@network_option
@json_option
def logs(node: str | None, follow: bool, lines: int, network_name: str | None, as_json: bool) -> None:
    """Show the nodes' logs: the last lines of one node, or of all by time."""
    out = Output(as_json)
    run = run_directory.find(network_name, must_run=False)
    names = [run.node(node).name] if node else run.node_names()
    followed = [_Followed(run, name, lines) for name in names]
    entries = [(line, one.name) for one in followed for line in one.first]
    if len(followed) > 1:
        entries.sort(key=lambda entry: _stamp(entry[0]))
    for line, name in entries:
        _show(out, name, line)
    while follow:
        fresh = [(line, one.name) for one in followed for line in one.fresh()]
        for line, name in fresh:
            _show(out, name, line)
        if not fresh:
            time.sleep(0.1)


def _stamp(line: str) -> str:
    """The time that leads a line, in both forms: ``02:17:15.245 …`` and ``{"ts":1764037035245,…``."""
    return line[6:19] if line.startswith('{"ts":') else line[:12]


def _show(out: Output, name: str, line: str) -> None:
    out.line(line)
    out.record({"node": name, "line": line})


class _Followed:
    """A log file that grows."""

    def __init__(self, run: RunDirectory, name: str, lines: int) -> None:
        self.name = name
        self._path = run.log_file(name)
        self._offset = self._path.stat().st_size if self._path.exists() else 0
        self.first = tail(self._path, lines)
        self._rest = b""

    def fresh(self) -> list[str]:
        """Whole lines written since the last look."""
        try:
            size = self._path.stat().st_size
            if size < self._offset:  # the network was started over
                self._offset, self._rest = 0, b""
            with self._path.open("rb") as file:
                file.seek(self._offset)
                chunk = file.read(1024 * 1024)
        except OSError:
            return []
        self._offset += len(chunk)
        *whole, self._rest = (self._rest + chunk).split(b"\n")
        return [line.decode("utf-8", "replace") for line in whole]


@click.command(epilog="\b\nExamples:\n  evmesh accounts\n  evmesh accounts --keys --json\n")
@click.option("--keys", is_flag=True, help="Show the private keys, too.")
@click.option("--node", "node_name", metavar="NODE", help="Ask this node.")
@network_option
@json_option
def accounts(keys: bool, node_name: str | None, network_name: str | None, as_json: bool) -> None:
    """List the funded accounts with balance and nonce (from the genesis file while no node runs)."""
    out = Output(as_json)
    run = run_directory.find(network_name, must_run=False)
    network = run.network()
    client = client_of(run, network, node_name)
    at_genesis = genesis_balances(run)
    rows, documents = [], []
    for account in funded_accounts(network):
        try:
            balance, nonce = client.balance(account.address), client.nonce(account.address, "latest")
        except NodeUnreachable:
            if node_name is not None or run.running():
                raise
            balance, nonce = at_genesis.get(account.address, 0), 0
        row = [str(account.index), account.checksummed, format_ether(balance, 6), str(nonce)]
        document = {"index": account.index, "address": account.checksummed, "balance_wei": str(balance), "nonce": nonce}
        if keys:
            row.append(to_data(account.private_key))
            document["private_key"] = to_data(account.private_key)
        rows.append(row)
        documents.append(document)
    if rows:
        out.table(["", "address", "ETH", "nonce", *(["private key"] if keys else [])], rows)
    else:
        out.line("this network has no accounts of its own")
    out.document(documents)


@click.command(epilog='\b\nExamples:\n  eval "$(evmesh env)" && cast block-number\n  evmesh env --node n2\n')
@click.option("--node", "node_name", metavar="NODE", help="Point at this node (default: the first).")
@network_option
@json_option
def env(node_name: str | None, network_name: str | None, as_json: bool) -> None:
    """Print variables for other tools: RPC address, chain id, the first account."""
    out = Output(as_json)
    run = run_directory.find(network_name)
    network = run.network()
    client = client_of(run, network, node_name)
    variables = {
        "EVMESH_NETWORK": run.name,
        "ETH_RPC_URL": client.url,
        "ETH_RPC_URLS": ",".join(node.url for node in network.nodes),
        "CHAIN_ID": str(network.chain_id),
        "MNEMONIC": network.mnemonic,
    }
    first = funded_accounts(network)[:1]
    if first:
        variables["ETH_FROM"] = first[0].checksummed
        variables["ETH_PRIVATE_KEY"] = to_data(first[0].private_key)
    shell = Path(os.environ.get("SHELL", "sh")).name
    for key, value in variables.items():
        if any(character in value for character in "'\n\\"):
            raise BadInput(f"the value of {key} cannot be quoted for a shell", "use --json")
        out.line(f"set -gx {key} '{value}'" if shell == "fish" else f"export {key}='{value}'")
    out.document(variables)
