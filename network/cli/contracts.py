"""``deploy``, ``call``, ``watch``: contracts by name."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from network.accounts import checksum_address
from network.amounts import parse_amount
from network.cli.completing import functions
from network.cli.group import WAITS, follow_options, json_option, network_option, signer_options
from network.cli.live import live
from network.cli.output import Output, shorten, shown
from network.cli.resolve import FunctionCall, account_of, client_of, function_call
from network.cli.transactions import Order, carry_out
from network.client import RpcError
from network.cluster import run_directory
from network.cluster.observer import Comparison, clients_of, compare
from network.failures import BadInput, Disagreement
from network.load.contracts import json_value, load_artifact
from network.reverts import show_value
from network.wallet import reverted
from node.primitives.hexadecimal import to_data


@click.command(
    context_settings={"ignore_unknown_options": True},
    epilog="""\b
Examples:
  evmesh deploy examples/Counter.json --from 0
  evmesh deploy DemoToken 1000000
  evmesh deploy out/MyToken.sol/MyToken.json 1000 0x70997970C51812dc3A010C7d01b50e0d17dc79C8
Counter and DemoToken ship with evmesh. Arguments of the constructor follow the file.
""",
)
@click.argument("artifact")
@click.argument("arguments", nargs=-1)
@signer_options
@click.option("--as", "name", help="Remember it under this name (default: the contract's).")
@click.option("--value", default="0", show_default=True, help="Ether for a payable constructor.")
@click.option("--gas", type=click.IntRange(min=1), help="Gas limit (default: estimated).")
@click.option("--node", "node_name", metavar="NODE", help="Hand it to this node.")
@click.option(
    "--wait", type=click.Choice(WAITS[1:]), default="included", show_default=True, help="How far to follow it."
)
@click.option("--timeout", type=click.FloatRange(min=0), default=60.0, show_default=True, help="Seconds to wait.")
@network_option
@json_option
def deploy(
    artifact: str,
    arguments: tuple[str, ...],
    sender: str,
    key_file: Path | None,
    name: str | None,
    value: str,
    gas: int | None,
    node_name: str | None,
    wait: str,
    timeout: float,
    network_name: str | None,
    as_json: bool,
) -> None:
    """Deploy a compiled contract (the JSON of Foundry, Hardhat or solc, or a bundled name)."""
    out = Output(as_json)
    contract = load_artifact(artifact)
    data = contract.creation_data_from_text(arguments)
    label = name or contract.name
    if not label.isidentifier():
        raise BadInput(f"{label!r} is not usable as a contract name", "choose one with --as")
    run = run_directory.find(network_name)
    network = run.network()
    account = account_of(network, sender, key_file)
    order = Order(None, parse_amount(value), data, gas, abi=contract.abi)
    sent = carry_out(run, network, client_of(run, network, node_name), account, order, wait, timeout)
    assert sent.inclusion is not None, "deploy always waits for the receipt"
    address = checksum_address(bytes.fromhex(sent.inclusion.receipt["contractAddress"][2:]))
    run.add_contract(label, address, contract.abi, contract.layout)
    out.line(f"{label} at {address}  (#{sent.inclusion.block_number}, gas {sent.inclusion.gas_used})")
    out.document({"name": label, "address": address, "gas_used": sent.inclusion.gas_used, **sent.document()})


@click.command(
    context_settings={"ignore_unknown_options": True},
    epilog="""\b
Examples:
  evmesh call Counter.number                    reads: asks one node
  evmesh call Counter.increment --from 0        writes: a transaction
  evmesh call DemoToken.transfer 0x70997970C51812dc3A010C7d01b50e0d17dc79C8 5 --wait finalized
  evmesh call "0x5FbDB2315678afecb367f032d93F642f64180aa3.balanceOf(address)(uint256)" 0x7099…
""",
)
@click.argument("function", shell_complete=functions)
@click.argument("arguments", nargs=-1)
@signer_options
@click.option("--value", default="0", show_default=True, help="Ether for a payable function.")
@click.option("--gas", type=click.IntRange(min=1), help="Gas limit (default: estimated).")
@click.option("--block", default="latest", show_default=True, help="Number or tag, for functions that only read.")
@click.option("--dry-run", is_flag=True, help="Only ask what would happen, send nothing.")
@click.option("--node", "node_name", metavar="NODE", help="Ask or hand it to this node.")
@follow_options
@network_option
@json_option
def call(
    function: str,
    arguments: tuple[str, ...],
    sender: str,
    key_file: Path | None,
    value: str,
    gas: int | None,
    block: str,
    dry_run: bool,
    node_name: str | None,
    wait: str,
    timeout: float,
    network_name: str | None,
    as_json: bool,
) -> None:
    """Call a contract's function: one that only reads is answered at once, others become a transaction."""
    out = Output(as_json)
    amount = parse_amount(value)
    tag = parse_block(block)
    run = run_directory.find(network_name)
    network = run.network()
    wanted = function_call(run, function, arguments)
    account = account_of(network, sender, key_file)
    client = client_of(run, network, node_name)
    if wanted.function.reads_only or dry_run:
        try:
            data = client.eth_call(wanted.address, wanted.data, tag, account.address)
        except RpcError as error:
            raise reverted(error, wanted.abi) from None
        values = _values(wanted, data)
        out.line("\n".join(show_value(one) for one in values) if values else to_data(data) if data else "ok")
        out.document({"function": wanted.label, "result": [json_value(one) for one in values], "data": to_data(data)})
        return
    order = Order(wanted.address, amount, wanted.data, gas, abi=wanted.abi)
    sent = carry_out(run, network, client, account, order, wait, timeout)
    out.line(f"{wanted.label}  {sent.words()}")
    out.document({"function": wanted.label, "from": account.checksummed, **sent.document()})


@click.command(
    context_settings={"ignore_unknown_options": True},
    epilog="""\b
Examples:
  evmesh watch Counter.number --once
  evmesh watch DemoToken.balanceOf 0x70997970C51812dc3A010C7d01b50e0d17dc79C8 --interval 0.5
  evmesh watch                                    heads, finality and pace of all nodes
All nodes are read at the same block: the highest that every one of them has.
""",
)
@click.argument("function", required=False, shell_complete=functions)
@click.argument("arguments", nargs=-1)
@click.option("--once", is_flag=True, help="Look once; exit code 3 when nodes differ.")
@click.option(
    "--interval", type=click.FloatRange(min=0.05), default=1.0, show_default=True, help="Seconds between looks."
)
@network_option
@json_option
def watch(
    function: str | None,
    arguments: tuple[str, ...],
    once: bool,
    interval: float,
    network_name: str | None,
    as_json: bool,
) -> None:
    """Compare a contract's value and the state root on all nodes. Without a function: show where every node stands."""
    out = Output(as_json)
    run = run_directory.find(network_name)
    if function is None:
        if once:
            raise BadInput("--once needs a function to compare", "evmesh status looks at the network once")
        # the two commands share a view, not a module
        from network.cli.inspection import watch_network

        watch_network(run, interval, out)
        return
    network = run.network()
    wanted = function_call(run, function, arguments)
    if not wanted.function.outputs:
        raise BadInput(f"{wanted.label} returns nothing that could be watched", "watch a view function")
    clients = clients_of(network, 5.0)
    with live(out) as screen:
        while True:
            comparison = compare(clients, [(wanted.address, wanted.data)])
            columns, rows, note = _comparison_table(wanted, comparison)
            screen.show(columns, rows, note, above=[f"network {run.name}"])
            content = _comparison_json(wanted, comparison)
            if once:
                out.document(content)
            else:
                out.record(content)
            if len({reading.compared for reading in comparison.answered}) > 1 or (once and not comparison.agree):
                raise Disagreement(
                    f"{', '.join(comparison.differing())} differ at block #{comparison.height}", "evmesh status"
                )
            if once:
                return
            time.sleep(interval)


def _comparison_table(wanted: FunctionCall, comparison: Comparison) -> tuple[list[str], list[list[str]], str]:
    """Columns, rows, and what stands behind the last row."""
    rows = []
    for reading in comparison.readings:
        value = ", ".join(show_value(one) for one in _values(wanted, reading.values[0])) if reading.values else "-"
        root = shorten(reading.state_root) if reading.state_root else reading.problem or "-"
        rows.append([reading.name, shown(reading.head), value, root])
    note = "✔ all agree" if comparison.agree else f"✘ {', '.join(comparison.differing())} differ"
    return ["node", "head", f"{wanted.function.name}()", f"state root #{comparison.height}"], rows, note


def _comparison_json(wanted: FunctionCall, comparison: Comparison) -> dict[str, Any]:
    return {
        "function": wanted.label,
        "block": comparison.height,
        "agree": comparison.agree,
        "differing": comparison.differing(),
        "nodes": [
            {
                "name": reading.name,
                "head": reading.head,
                "block_hash": reading.block_hash,
                "state_root": reading.state_root,
                "values": [json_value(one) for one in _values(wanted, reading.values[0])] if reading.values else None,
                "problem": reading.problem,
            }
            for reading in comparison.readings
        ],
    }


def _values(wanted: FunctionCall, data: bytes) -> list[Any]:
    if not data and wanted.function.outputs:
        raise BadInput(
            f"{checksum_address(wanted.address)} returned nothing", "is a contract deployed there, on this network?"
        )
    return wanted.function.result(data) if wanted.function.outputs else []


def parse_block(text: str) -> int | str:
    """A block number, or one of the tags. Raises BadInput."""
    if text in ("latest", "safe", "finalized", "earliest", "pending"):
        return text
    if text.isascii() and text.isdigit() and len(text) < 20:
        return int(text)
    raise BadInput(f"{text!r} is no block", "a number, or latest, safe, finalized, earliest, pending")
