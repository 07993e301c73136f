"""``bisect``: where two nodes part."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Final

import click

from network.bisect import Finding, Kind, find_difference
from network.cli.group import json_option, network_option
from network.cli.output import Output, shorten
from network.client import NodeClient
from network.cluster import run_directory
from network.failures import BadInput, Disagreement

VALUE_CHARACTERS: Final = 24


@click.command(
    epilog="""\b
Examples:
  evmesh bisect n0 n3
  evmesh bisect n0 http://127.0.0.1:9999 --json
Exit code 0: they make the same of every block. 3: they do not, and the output says where.
""",
)
@click.argument("first")
@click.argument("second")
@network_option
@json_option
def bisect(first: str, second: str, network_name: str | None, as_json: bool) -> None:
    """Find the first block that two nodes make different things of, the transaction in it and the instruction.

    FIRST and SECOND are nodes of a network of ours, or http:// addresses of evmesh nodes. A node that stands
    still before a block is asked what it would make of it.
    """
    out = Output(as_json)
    clients = [_client(text, network_name) for text in (first, second)]
    found = find_difference(clients[0].call, clients[1].call)
    names = (clients[0].name, clients[1].name)
    for line in told(found, names):
        out.line(line)
    out.document({"nodes": names, **asdict(found), "kind": found.kind.value})
    if found.kind is not Kind.NONE:
        raise Disagreement(f"{names[0]} and {names[1]} part at block #{found.number}: {found.kind.value}")


def _client(text: str, network_name: str | None) -> NodeClient:
    if text.startswith("http://"):
        return NodeClient(text)
    network = run_directory.find(network_name).network()
    for node in network.nodes:
        if node.name == text:
            return NodeClient(node.url, node.name)
    raise BadInput(
        f"{text!r} is no node of {network.name}",
        f"the nodes are {', '.join(node.name for node in network.nodes)}; an address begins with http://",
    )


def told(found: Finding, names: tuple[str, str]) -> list[str]:
    """The answer, a fact a line."""
    if found.kind is Kind.NONE:
        if found.refused_by is None:
            return [f"no difference: both are at #{found.number} {found.hashes[0]}"]
        behind = names[found.refused_by]
        return [f"no difference: {behind} has no block #{found.number} yet, and would make the same of it"]
    if found.refused_by is not None:
        stands, other = names[found.refused_by], names[1 - found.refused_by]
        lines = [
            f"block        #{found.number} {found.hashes[1 - found.refused_by]} of {other}; {stands} stands before it"
        ]
    else:
        lines = [
            f"block        #{found.number}  {names[0]} {found.hashes[0]}",
            f"             {names[1]} {found.hashes[1]}",
        ]
        lines += [_pair("header", name, pair, names) for name, pair in found.header.items()]
    if found.transaction is not None:
        lines.append(f"transaction  {found.transaction} {found.transaction_hash}")
    lines += [_pair("result", name, pair, names) for name, pair in found.results.items()]
    if found.step is not None:
        step = found.step
        lines.append(f"instruction  {step.opcode} at pc {step.pc}, step {step.index}, depth {step.depth}")
        lines += [_pair("then", name, pair, names) for name, pair in step.differs.items()]
    lines += [_pair("left", f"{change.account} {change.what}", change.values, names) for change in found.changes]
    return [*lines, f"→ {found.kind.value}"]


def _pair(label: str, name: str, pair: tuple[Any, Any], names: tuple[str, str]) -> str:
    first, second = (_parted(pair[0], pair[1]), _parted(pair[1], pair[0]))
    return f"{label:<12} {name}: {names[0]} {first}, {names[1]} {second}"


def _parted(value: Any, other: Any) -> str:
    """The value; of a list the part from the first difference on."""
    if isinstance(value, list) and isinstance(other, list):
        same = next((index for index, (a, b) in enumerate(zip(value, other, strict=False)) if a != b), None)
        at = min(len(value), len(other)) if same is None else same
        return f"[{at}] {_parted(value[at], None)}" if at < len(value) else f"[{at}] nothing"
    text = "nothing" if value is None else str(value)
    return shorten(text, VALUE_CHARACTERS, 8) if len(text) > VALUE_CHARACTERS + 12 else text
