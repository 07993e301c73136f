"""Start a network and stay with it: what ``up`` and ``demo`` share."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

import click

from network.cli.banner import banner
from network.cli.group import VERSION
from network.cli.output import Output, with_tilde
from network.cli.status_table import status_rows
from network.cluster import companion, links, ports, process, run_directory
from network.cluster.observer import observe
from network.cluster.run_directory import NetworkFile, NodeEntry, RunDirectory
from network.cluster.supervisor import Supervisor
from network.cluster.warm_server import WarmServer
from network.failures import EXIT_INTERRUPTED, BadInput, Busy, Disagreement
from network.manifest import Manifest, load_manifest
from network.provision import begin, choose_page, free_page_port, funded_accounts, genesis_balances
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


def up(
    server: WarmServer,
    manifest_file: Path | None,
    given: dict[str, Any],
    detach: bool,
    clean: bool,
    resume: bool,
    out: Output,
) -> None:
    """Start or continue a network; stay until Ctrl-C unless detached. Raises Failure."""
    run = _resume(given, clean, out) if resume else begin(_manifest(manifest_file, given), clean, out.progress)
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
        except Disagreement:
            supervisor.stop()
            raise


def _start_and_watch(
    supervisor: Supervisor, server: WarmServer, network: NetworkFile, detach: bool, out: Output
) -> None:
    run = supervisor.run
    out.line(f"evmesh {VERSION} · {len(network.nodes)} nodes · run dir {with_tilde(run.path)}")
    out.line()
    accounts = funded_accounts(network)
    out.line(banner(network, accounts, genesis_balances(run)))
    supervisor.start(server)
    supervisor.open_page()
    connected = supervisor.wait_connected()
    supervisor.judge()
    elapsed = process.seconds_since_start()
    statuses = observe(run)
    out.table(*status_rows(statuses))
    evms = sorted({one.evm for one in statuses if one.evm})
    if not connected:
        out.progress("warning: not every node has found all its peers yet; evmesh status shows them")
    if network.host in ("0.0.0.0", "::"):
        out.progress(f"warning: {network.host} lets everyone who reaches this machine use these public keys")
    first = network.nodes[0]
    out.line()
    out.line(f"Listening on {first.http_host}:{first.http_port}")  # tools look for this line, word for word
    if network.page_port is not None:
        if companion.wait_page(run, network.page_port):
            out.line(f"Cluster page {network.page_url}")
        else:
            out.progress(f"warning: the cluster page did not start; its log: {companion.page_log(run)}")
    end = f"stop with: evmesh down {run.name}" if detach else "Ctrl-C to stop"
    out.line(f"ready in {elapsed:.1f} s, EVM {' and '.join(evms)} — {end}")
    out.document(
        {
            "name": run.name,
            "run_dir": str(run.path),
            "chain_id": network.chain_id,
            "consensus": network.engine,
            "block_time_ms": network.block_time_ms,
            "evm": evms,
            "ready_seconds": round(elapsed, 3),
            "page": network.page_url,
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
    supervisor.stop()  # what belongs to the network beside its nodes
    out.progress("all nodes have stopped")


def _node_json(node: NodeEntry, run: RunDirectory) -> dict[str, Any]:
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
    try:
        out.progress("\nstopping; Ctrl-C again stops at once")
        killed = supervisor.stop()
        if killed:
            out.progress(f"{', '.join(killed)} did not stop in time and had to be killed")
    except (KeyboardInterrupt, Terminated):
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        supervisor.kill()
    # all is done: an impatient further Ctrl-C must not turn a clean end into a traceback
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    out.progress(f"stopped; continue with: evmesh up --resume --name {supervisor.run.name}")


def _manifest(manifest_file: Path | None, given: dict[str, Any]) -> Manifest:
    manifest = load_manifest(manifest_file) if manifest_file is not None else Manifest()
    return manifest.with_values(given, "command line").checked()


def _resume(given: dict[str, Any], clean: bool, out: Output) -> RunDirectory:
    """A stopped network: as it was, on the ports it had. Only its page may move."""
    if clean:
        raise BadInput("--resume and --clean exclude each other", "leave one away")
    run = run_directory.find(given.pop("name", None), must_run=False)
    page: dict[str, Any] = {key: given.pop(key) for key in ("page", "page_port") if key in given}
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
    wiring = links.Wiring.read(run.path)
    if wiring is not None:
        for port in wiring.ports.values():
            _require_own_port(wiring.host, port)
    if page or network.page_port is not None:
        _place_page(run, network, page, out)
    return run


def _place_page(run: RunDirectory, network: NetworkFile, wanted: dict[str, Any], out: Output) -> None:
    """Where a resumed network's page is from now on: where it was, or as the flags say."""
    if wanted or network.page_port is None:
        port, note = choose_page(Manifest().with_values(wanted, "command line"))
    else:
        port, note = free_page_port(network.page_port)
    if note:
        out.progress(f"note: {note}")
    if port != network.page_port:
        run.write_network(replace(network, page_port=port))


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
