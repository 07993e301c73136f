"""``up``, ``down``, ``ls``: networks begin and end."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import click

from network.cli.banner import banner
from network.cli.group import VERSION, json_option
from network.cli.output import Output, seconds
from network.cli.status_table import status_rows
from network.cluster import ports, process, run_directory
from network.cluster.observer import observe
from network.cluster.run_directory import NetworkFile, RunDirectory
from network.cluster.supervisor import Supervisor, WarmServer
from network.failures import EXIT_INTERRUPTED, BadInput, Busy
from network.manifest import Manifest, load_manifest
from network.provision import choose_places, funded_accounts, genesis_balances, provision
from node.primitives.hexadecimal import to_data


class Terminated(BaseException):
    """SIGTERM or SIGHUP reached the supervisor."""


@contextlib.contextmanager
def termination_as_exception() -> Iterator[None]:
    """While this holds, SIGTERM and SIGHUP end the body as Ctrl-C does, so that nodes are stopped too."""

    def raise_terminated(number: int, frame: FrameType | None) -> None:
        raise Terminated

    previous = {number: signal.signal(number, raise_terminated) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@click.command(
    epilog="""\b
Examples:
  evmesh up                               four nodes on 8545..8548, until Ctrl-C
  evmesh up -d --nodes 7 --block-time 0.5 seven nodes, in the background
  evmesh up --port 0 --json -d            free ports, told as JSON
  evmesh up --fund 0x70997970C51812dc3A010C7d01b50e0d17dc79C8:500
  evmesh up --genesis geth-genesis.json   start from a geth genesis file
  evmesh up --resume                      continue the latest network
""",
)
@click.option("--nodes", type=int, envvar="EVMESH_NODES", help="How many nodes (default 4).")
@click.option("--block-time", type=float, envvar="EVMESH_BLOCK_TIME", help="Seconds between blocks (default 1).")
@click.option("-d", "--detach", is_flag=True, help="Return once the network is ready; stop it with evmesh down.")
@click.option("--name", envvar="EVMESH_NAME", help="Name of the network (default: two words by chance).")
@click.option("--port", type=int, envvar="EVMESH_PORT", help="JSON-RPC of node i: port + i (default 8545; 0: free).")
@click.option("--p2p-port", type=int, envvar="EVMESH_P2P_PORT", help="Peers of node i: port + i (default 30303).")
@click.option("--chain-id", type=int, envvar="EVMESH_CHAIN_ID", help="Chain id (default 31337).")
@click.option("--accounts", type=int, envvar="EVMESH_ACCOUNTS", help="How many funded accounts (default 10).")
@click.option("--balance", envvar="EVMESH_BALANCE", help="Ether of each account (default 10000).")
@click.option("--mnemonic", envvar="EVMESH_MNEMONIC", help="BIP-39 words that the accounts come from.")
@click.option("--fund", multiple=True, metavar="ADDR:ETH", help="Fund one more address; repeat for several.")
@click.option("--genesis", type=click.Path(path_type=Path), help="A geth genesis.json to start from.")
@click.option("--consensus", envvar="EVMESH_CONSENSUS", help="bft (default), or instant for one node.")
@click.option("--gas-limit", type=int, envvar="EVMESH_GAS_LIMIT", help="Gas of a block (default 30000000).")
@click.option("--host", envvar="EVMESH_HOST", help="Address to listen on (default 127.0.0.1).")
@click.option("--log-level", envvar="EVMESH_LOG_LEVEL", help="debug, info (default), warning or error.")
@click.option("--log-format", envvar="EVMESH_LOG_FORMAT", help="text (default) or json.")
@click.option(
    "--config", "manifest_file", type=click.Path(path_type=Path), envvar="EVMESH_CONFIG", help="A TOML manifest."
)
@click.option("--clean", is_flag=True, help="Delete a stopped network of the same name first.")
@click.option("--resume", is_flag=True, help="Continue a stopped network (--name, else the latest).")
@json_option
def up(manifest_file: Path | None, detach: bool, clean: bool, resume: bool, as_json: bool, **flags: Any) -> None:
    """Start a network of nodes on this machine.

    Each node is a process of its own with its own EVM, database and peers. Runs until Ctrl-C, or with
    --detach in the background. Settings: flag, else environment (EVMESH_NODES, …), else the file of
    --config, else the default.
    """
    out = Output(as_json)
    given = {key: list(value) if key == "fund" else value for key, value in flags.items() if value not in (None, ())}
    if resume:
        run, server = _resume(given, clean)
    else:
        run, server = begin(_manifest(manifest_file, given), clean, out)
    network = run.network()
    run_directory.mark_latest(run)
    supervisor = Supervisor(run, out.progress)
    with termination_as_exception():
        try:
            _start_and_watch(supervisor, server, network, detach, out)
        except (KeyboardInterrupt, Terminated) as reason:
            _stop(supervisor, out)
            if isinstance(reason, KeyboardInterrupt):
                raise click.exceptions.Exit(EXIT_INTERRUPTED) from None


def _start_and_watch(
    supervisor: Supervisor, server: WarmServer, network: NetworkFile, detach: bool, out: Output
) -> None:
    run = supervisor.run
    out.line(f"evmesh {VERSION} · {len(network.nodes)} nodes · run dir {_with_tilde(run.path)}")
    out.line()
    accounts = funded_accounts(network)
    out.line(banner(network, accounts, genesis_balances(run)))
    supervisor.start(server)
    connected = supervisor.wait_connected()
    elapsed = process.seconds_since_start()
    out.table(*status_rows(observe(run)))
    if not connected:
        out.progress("warning: not every node has found all its peers yet; evmesh status shows them")
    if network.host in ("0.0.0.0", "::"):
        out.progress(f"warning: {network.host} lets everyone who reaches this machine use these public keys")
    first = network.nodes[0]
    out.line()
    out.line(f"Listening on {first.http_host}:{first.http_port}")
    end = f"stop with: evmesh down {run.name}" if detach else "Ctrl-C to stop"
    out.line(f"ready in {elapsed:.1f} s — {end}")
    out.document(
        {
            "name": run.name,
            "run_dir": str(run.path),
            "chain_id": network.chain_id,
            "consensus": network.engine,
            "block_time_ms": network.block_time_ms,
            "ready_seconds": round(elapsed, 3),
            "nodes": [_node_json(node, run) for node in network.nodes],
            "mnemonic": network.mnemonic,
            "accounts": [
                {"index": one.index, "address": one.checksummed, "private_key": to_data(one.private_key)}
                for one in accounts
            ],
        }
    )
    if detach:
        supervisor.detach()
        return
    supervisor.watch()
    out.progress("all nodes have stopped")


def _node_json(node: run_directory.NodeEntry, run: RunDirectory) -> dict[str, Any]:
    record = run.record(node.name)
    return {
        "name": node.name,
        "role": node.role,
        "url": node.url,
        "p2p_port": node.p2p_port,
        "id": node.node_id,
        "validator": node.validator,
        "pid": record.pid if record else None,
        "log": str(run.log_file(node.name)),
    }


def _stop(supervisor: Supervisor, out: Output) -> None:
    out.progress("\nstopping; Ctrl-C again stops at once")
    try:
        killed = supervisor.stop()
        if killed:
            out.progress(f"{', '.join(killed)} did not stop in time and had to be killed")
    except (KeyboardInterrupt, Terminated):
        supervisor.kill()
    out.progress(f"stopped; continue with: evmesh up --resume --name {supervisor.run.name}")


def _manifest(manifest_file: Path | None, given: dict[str, Any]) -> Manifest:
    manifest = load_manifest(manifest_file) if manifest_file is not None else Manifest()
    return manifest.with_values(given, "command line").checked()


def begin(manifest: Manifest, clean: bool, out: Output) -> tuple[RunDirectory, WarmServer]:
    """A new network: its directory written, its fork server warming up meanwhile."""
    name = manifest.name or run_directory.new_name()
    existing = RunDirectory(run_directory.state_home() / name)
    if clean and existing.path.exists():
        existing.remove()
    run = run_directory.create(name)
    server = WarmServer()
    try:
        places, note = choose_places(manifest)
        if note:
            out.progress(f"note: {note}")
        provision(manifest, run, places)
    except BaseException:
        server.close()
        run.remove()  # nothing of it has run yet
        raise
    return run, server


def _resume(given: dict[str, Any], clean: bool) -> tuple[RunDirectory, WarmServer]:
    """A stopped network: as it was, on the ports it had."""
    if clean:
        raise BadInput("--resume and --clean exclude each other", "leave one away")
    run = run_directory.find(given.pop("name", None), must_run=False)
    if given:
        flags = ", ".join("--" + key.replace("_", "-") for key in given)
        raise BadInput(f"a resumed network keeps its settings; {flags} cannot change them", "leave them away")
    running = run.running()
    if running:
        raise Busy(f"network {run.name} is running ({', '.join(running)})", f"stop it first: evmesh down {run.name}")
    network = run.network()
    for node in network.nodes:
        for port in (node.http_port, node.p2p_port):
            _require_own_port(node.http_host, port)
    return run, WarmServer()


def _require_own_port(host: str, port: int) -> None:
    if ports.is_free(host, port):
        return
    holder = ports.holder_of(port)
    raise Busy(
        f"port {port} on {host} is in use" + (f" by {holder}" if holder else ""),
        "a resumed network needs the ports it had; stop what uses them, or start a new network",
        port=port,
        holder_pid=holder.pid if holder else None,
    )


@click.command(
    epilog="""\b
Examples:
  evmesh down                 the network that runs
  evmesh down brave-otter     this one
  evmesh down --all --remove  all, and delete their data
""",
)
@click.argument("name", required=False)
@click.option("--all", "everything", is_flag=True, help="Every network.")
@click.option("--remove", is_flag=True, help="Delete the run directory, too.")
@click.option("--timeout", type=float, default=5.0, show_default=True, help="Seconds before a node is killed.")
@json_option
def down(name: str | None, everything: bool, remove: bool, timeout: float, as_json: bool) -> None:
    """Stop a network. Its directory stays; evmesh up --resume continues it."""
    out = Output(as_json)
    if everything:
        runs = [run for run in run_directory.all_runs() if remove or run.running()]
    else:
        runs = [_the_one(name, remove)]
    stopped = []
    for run in runs:
        nodes = list(run.running())
        killed = Supervisor(run, out.progress).stop(timeout)
        if nodes:
            out.line(f"stopped {run.name} ({', '.join(nodes)})" + (f"; killed {', '.join(killed)}" if killed else ""))
        if remove:
            run.remove()
            out.line(f"removed {_with_tilde(run.path)}")
        stopped.append({"name": run.name, "nodes": nodes, "killed": killed, "removed": remove})
    if not runs:
        out.line("no network is running")
    out.document({"stopped": stopped})


def _the_one(name: str | None, remove: bool) -> RunDirectory:
    """The network to stop: never one of several by guess."""
    running = [run for run in run_directory.all_runs() if run.running()]
    if name is None and len(running) > 1:
        names = ", ".join(run.name for run in running)
        raise BadInput(f"several networks are running: {names}", "name one, or use --all")
    return run_directory.find(name, must_run=not (name and remove))


@click.command(epilog="\b\nExamples:\n  evmesh ls\n  evmesh ls --json\n")
@json_option
def ls(as_json: bool) -> None:
    """List networks, running and stopped."""
    out = Output(as_json)
    rows, documents = [], []
    last = run_directory.latest()
    for run in run_directory.all_runs():
        network = run.network()
        running = run.running()
        age = max(0, time.time_ns() // 1_000_000 - network.created_ms) // 1000
        state = "stopped" if not running else "running" if len(running) == len(network.nodes) else "partly running"
        is_latest = last is not None and last.name == run.name
        rows.append(
            [
                run.name + (" (latest)" if is_latest else ""),
                state,
                f"{len(running)}/{len(network.nodes)}",
                str(network.chain_id),
                network.nodes[0].url,
                _age(age),
            ]
        )
        documents.append(
            {
                "name": run.name,
                "state": state,
                "latest": is_latest,
                "running": list(running),
                "nodes": [node.name for node in network.nodes],
                "chain_id": network.chain_id,
                "url": network.nodes[0].url,
                "run_dir": str(run.path),
                "age_seconds": age,
            }
        )
    if rows:
        out.table(["network", "state", "nodes", "chain id", "rpc", "age"], rows)
    else:
        out.line("no network yet; start one with: evmesh up")
    out.document(documents)


def _age(total: int) -> str:
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if total >= length:
            return f"{total // length} {unit}"
    return seconds(float(total)) if total < 1 else f"{total} s"


def _with_tilde(path: Path) -> str:
    home = str(Path.home())
    text = str(path)
    return "~" + text.removeprefix(home) if text.startswith(home + "/") else text
