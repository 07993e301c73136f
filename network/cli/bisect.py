"""``bisect``: where two nodes part."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import click

from network.bisect import Ask, Finding, Kind, find_difference
from network.cli.completing import node_names
from network.cli.group import json_option, network_option
from network.cli.output import Output, shorten
from network.cli.progress import progress
from network.client import NodeClient
from network.cluster import run_directory
from network.failures import BadInput, Disagreement, Failure
from network.faults.kinds import BUG_FILE
from node.chain.genesis import GenesisError, parse_genesis

VALUE_CHARACTERS: Final = 24


@click.command(
    epilog="""\b
Examples:
  evmesh bisect n0 n3
  evmesh bisect n0 http://127.0.0.1:9999 --json
  evmesh bisect n0 n3 --repro part.json           evmesh replay part.json shows it again, anywhere
  evmesh bisect runs/one/n0 runs/two/n0           stopped nodes, by their folders
Exit code 0: they make the same of every block. 3: they do not, and the output says where.
""",
)
@click.argument("first", shell_complete=node_names)
@click.argument("second", shell_complete=node_names)
@click.option("--repro", "repro_file", type=click.Path(path_type=Path), help="Write a file that shows it again.")
@network_option
@json_option
def bisect(first: str, second: str, repro_file: Path | None, network_name: str | None, as_json: bool) -> None:
    """Find the first block that two nodes make different things of, the transaction in it and the instruction.

    FIRST and SECOND are nodes of a network of ours, running or not, http:// addresses of evmesh nodes, or folders
    of stopped nodes. A node that stands still before a block is asked what it would make of it.
    """
    out = Output(as_json)
    with ExitStack() as stack:
        nodes = [_named(text, network_name, stack) for text in (first, second)]
        found = find_difference(nodes[0].ask, nodes[1].ask)
        names = (nodes[0].name, nodes[1].name)
        for line in told(found, names):
            out.line(line)
        if repro_file is not None and found.kind is not Kind.NONE:
            _write(repro_file, found, nodes, out)
        out.document({"nodes": names, **asdict(found), "kind": found.kind.value})
    if found.kind is not Kind.NONE:
        raise Disagreement(f"{names[0]} and {names[1]} part at block #{found.number}: {found.kind.value}")


@dataclass(frozen=True, slots=True)
class _Node:
    """Somebody to ask; of one of ours also where its files are."""

    name: str
    ask: Ask
    folder: Path | None = None


def _named(text: str, network_name: str | None, stack: ExitStack) -> _Node:
    if text.startswith("http://"):
        return _Node(text, NodeClient(text).call)
    folder = Path(text)
    if (folder / "node.toml").is_file():
        return _stopped(folder, folder.name, stack)
    run = run_directory.find(network_name, must_run=False)
    network = run.network()
    for node in network.nodes:
        if node.name == text:
            if node.name not in run.running():
                return _stopped(run.node_dir(node.name), node.name, stack)
            return _Node(node.name, NodeClient(node.url, node.name).call, run.node_dir(node.name))
    raise BadInput(
        f"{text!r} is no node of {network.name}",
        f"the nodes are {', '.join(node.name for node in network.nodes)}; an address begins with http://, and a "
        "stopped node's folder has a node.toml",
    )


def _stopped(folder: Path, name: str, stack: ExitStack) -> _Node:
    # a running node is asked over HTTP: only here is the whole EVM needed
    from network.local_node import LocalNode

    if not (folder / "db" / "data.mdb").is_file():
        raise Failure(f"{name} has no database in {folder}", "has it ever run?")
    try:
        genesis = parse_genesis((folder.parent / "genesis.json").read_bytes())
    except (OSError, GenesisError) as error:
        raise Failure(f"{folder.parent / 'genesis.json'} cannot be used: {error}") from None
    node = stack.enter_context(LocalNode(name, folder, genesis, bug_of(folder)))
    return _Node(name, node.call, folder)


def bug_of(folder: Path) -> str:
    """The seeded mistake that a node's folder asks for."""
    try:
        return (folder / BUG_FILE).read_text("ascii").strip()
    except OSError:
        return ""


def _write(path: Path, found: Finding, nodes: list[_Node], out: Output) -> None:
    # imported here: it brings the EVM along, which a comparison over HTTP need not wait for
    from network.repro import Side, write_repro

    folder = next((node.folder for node in nodes if node.folder is not None), None)
    if folder is None:
        raise BadInput(
            "a repro file needs the genesis file, and addresses have none", "name a node of a network of ours"
        )
    sides = [Side(node.name, bug_of(node.folder) if node.folder else "") for node in nodes]
    source = nodes[1 - found.refused_by if found.refused_by is not None else 0]
    assert found.number is not None
    with progress("blocks", found.number - 1, quiet=out.as_json) as bar:
        write_repro(
            path, found, (folder.parent / "genesis.json").read_bytes(), (sides[0], sides[1]), source.ask, bar.at
        )
    out.progress(f"written to {path}; show it again with: evmesh replay {path}")


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
