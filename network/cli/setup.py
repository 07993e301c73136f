"""``doctor``, ``provision``, ``completion``, ``version``: before a network runs."""

from __future__ import annotations

import importlib
import os
import platform
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from network.cli.group import VERSION, evmesh, json_option
from network.cli.output import Output
from network.cluster import ports, run_directory
from network.failures import BadInput, Failure
from network.manifest import Manifest

_PACKAGES = (
    "aiohttp",
    "coincurve",
    "cryptography",
    "Crypto",
    "gmpy2",
    "lmdb",
    "mclbn256",
    "msgpack",
    "orjson",
    "prometheus_client",
    "py_arkworks_bls12381",
    "rich",
    "sha3",
)
_DISK_BYTES_MIN = 500 * 1024 * 1024
_FILES_MIN = 256


@click.command(epilog="\b\nExamples:\n  evmesh doctor\n")
@json_option
def doctor(as_json: bool) -> None:
    """Check that this machine can run a network; exit code 1 when something is missing."""
    out = Output(as_json)
    checks: list[tuple[str, Callable[[], tuple[bool, str]]]] = [
        ("python", _python),
        ("packages", _packages),
        ("node program", _node_program),
        ("ports", _default_ports),
        ("state folder", _state_folder),
        ("disk", _disk),
        ("open files", _open_files),
    ]
    rows, documents, failed = [], [], []
    for name, check in checks:
        good, text = check()
        rows.append(["✔" if good else "✘", name, text])
        documents.append({"check": name, "ok": good, "detail": text})
        if not good:
            failed.append(name)
    out.table(["", "check", "detail"], rows)
    out.document({"ok": not failed, "checks": documents})
    if failed:
        raise click.exceptions.Exit(1)


def _python() -> tuple[bool, str]:
    return sys.version_info >= (
        3,
        11,
    ), f"{platform.python_implementation()} {platform.python_version()} (3.11 or newer)"


def _packages() -> tuple[bool, str]:
    missing = []
    for name in _PACKAGES:
        try:
            importlib.import_module(name)
        except ImportError as error:
            missing.append(f"{name} ({error})")
    return not missing, f"missing: {', '.join(missing)}; pip install evmesh again" if missing else "all there"


def _node_program() -> tuple[bool, str]:
    try:
        importlib.import_module("node.__main__")
    except ImportError as error:
        return False, str(error)
    return True, "loads"


def _default_ports() -> tuple[bool, str]:
    manifest = Manifest()
    busy = []
    for base in (manifest.port, manifest.p2p_port):
        for port in range(base, base + manifest.nodes):
            if not ports.is_free(manifest.host, port):
                holder = ports.holder_of(port)
                busy.append(f"{port}" + (f" ({holder})" if holder else ""))
    running = [run.name for run in run_directory.all_runs() if run.running()]
    if busy and running:
        return True, f"in use by {', '.join(running)}; another network takes other ports"
    return not busy, f"in use: {', '.join(busy)}; use --port and --p2p-port" if busy else "free"


def _existing(path: Path) -> Path:
    while not path.exists():
        path = path.parent
    return path


def _state_folder() -> tuple[bool, str]:
    home = run_directory.state_home()
    return os.access(_existing(home), os.W_OK), str(home)


def _disk() -> tuple[bool, str]:
    free = shutil.disk_usage(_existing(run_directory.state_home())).free
    return free >= _DISK_BYTES_MIN, f"{free // 2**20} MiB free"


def _open_files() -> tuple[bool, str]:
    import resource  # POSIX only; the program starts elsewhere without it

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return soft >= _FILES_MIN or soft == resource.RLIM_INFINITY, f"limit {soft} (ulimit -n)"


@click.command(
    epilog="""\b
Examples:
  evmesh provision --compose /cluster --nodes 4      what docker-compose.yml runs first
  evmesh provision --kubernetes mynet --image registry.example/evmesh:0.1.0 --namespace dev
  kubectl apply -k mynet
"""
)
@click.option("--compose", type=click.Path(path_type=Path), help="Folder to write n0, n1, … to, one for a container.")
@click.option("--kubernetes", type=click.Path(path_type=Path), help="Folder to write manifests and files to.")
@click.option("--image", help="Kubernetes: the image that the pods run (default evmesh:latest).")
@click.option("--namespace", help="Kubernetes: the namespace (default: that of the context).")
@click.option("--nodes", type=int, help="How many nodes (default 4).")
@click.option("--block-time", type=float, help="Seconds between blocks (default 1).")
@click.option("--chain-id", type=int, help="Chain id (default 31337).")
@click.option("--gas-limit", type=int, help="Gas of a block (default 30000000).")
@click.option("--accounts", type=int, help="How many funded accounts (default 10).")
@click.option("--balance", help="Ether of each account (default 10000).")
@click.option("--mnemonic", help="BIP-39 words that the accounts come from.")
@click.option("--fund", multiple=True, metavar="ADDR:ETH", help="Fund one more address.")
@click.option("--genesis", type=click.Path(path_type=Path), help="A geth genesis.json to start from.")
@click.option("--log-level", help="debug, info (default), warning or error.")
@click.option("--log-format", help="text (default) or json.")
@json_option
def provision(
    compose: Path | None,
    kubernetes: Path | None,
    image: str | None,
    namespace: str | None,
    as_json: bool,
    **flags: Any,
) -> None:
    """Write configuration, keys and genesis for nodes that run in containers.

    Nodes find each other by name (n0, n1, … or evmesh-0.evmesh, …) and listen on 8545 and 30303. Keys and genesis of
    a folder that is written already stay as they are, so that this may run before every start.
    """
    # the key machinery, which version and doctor need not load
    from network.containers import IMAGE, provision_compose, provision_kubernetes

    out = Output(as_json)
    folder = compose or kubernetes
    if folder is None or (compose and kubernetes):
        raise BadInput("say which containers: --compose FOLDER or --kubernetes FOLDER", "see evmesh provision --help")
    if compose and (image or namespace):
        raise BadInput("--image and --namespace belong to --kubernetes", "docker-compose.yml names the image itself")
    if namespace and not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", namespace):
        raise BadInput(f"{namespace!r} is not a namespace", "lower case letters, digits and hyphens, at most 63")
    given = {key: list(value) if key == "fund" else value for key, value in flags.items() if value not in (None, ())}
    manifest = Manifest().with_values(given, "command line").checked()
    try:
        if kubernetes:
            network = provision_kubernetes(manifest, folder, image or IMAGE, namespace)
        else:
            network = provision_compose(manifest, folder)
    except OSError as error:
        raise Failure(f"cannot write to {folder}: {error.strerror}", "choose another folder") from None
    out.line(f"{len(network.nodes)} nodes in {folder}")
    if kubernetes:
        out.line(f"start them with: kubectl apply -k {folder}")
    out.document({"folder": str(folder), "chain_id": network.chain_id, "nodes": [node.name for node in network.nodes]})


@click.command(epilog='\b\nExamples:\n  eval "$(evmesh completion bash)"\n  evmesh completion fish | source\n')
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@json_option
def completion(shell: str, as_json: bool) -> None:
    """Print the shell's completion script."""
    from click.shell_completion import get_completion_class  # only this command needs it

    kind = get_completion_class(shell)
    if kind is None:
        raise BadInput(f"no completion for {shell}", "choose bash, zsh or fish")
    script = kind(evmesh, {}, "evmesh", "_EVMESH_COMPLETE").source()
    out = Output(as_json)
    out.line(script)
    out.document({"shell": shell, "script": script})


@click.command()
@json_option
def version(as_json: bool) -> None:
    """Print the version."""
    out = Output(as_json)
    out.line(f"evmesh {VERSION}")
    out.document({"version": VERSION, "python": platform.python_version()})
