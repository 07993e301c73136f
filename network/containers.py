"""Provisioning for containers: one folder a node for compose; a kustomize folder for Kubernetes.

The same ``node.toml``, keys and genesis that a network on one machine gets; only the names differ by which nodes
dial each other.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Final

from network.cluster.run_directory import NetworkFile, RunDirectory
from network.failures import BadInput
from network.manifest import Manifest
from network.provision import Place, provision

HTTP_PORT: Final = 8545
P2P_PORT: Final = 30303
IMAGE: Final = "evmesh:latest"
SERVICE: Final = "evmesh"
"""Of the headless service and the stateful set: pod ``evmesh-2`` is reached as ``evmesh-2.evmesh``."""
RPC_SERVICE: Final = "evmesh-rpc"
MANIFESTS: Final = ("services.yaml", "statefulset.yaml", "disruption.yaml")
OBJECT_BYTES_MAX: Final = 1_000_000
"""Of a ConfigMap or Secret; Kubernetes refuses objects of more than 1 MiB."""


def provision_compose(manifest: Manifest, folder: Path, seed: bytes | None = None) -> NetworkFile:
    """Files for one container a node: each finds the others by service name, each listens on the usual ports.

    Writes ``folder/n0`` … with ``node.toml``, keys, and its own copy of ``genesis.json``, so that a node's folder
    is all that its container needs to see. Folders that are provisioned already stay as they are. ``seed`` decides
    the validators' keys.
    """
    if (folder / "network.json").exists():
        return RunDirectory(folder).network()
    run, network = _provision(manifest, folder, lambda name: (name, (name, "localhost")), seed)
    for name in manifest.node_names():
        (run.node_dir(name) / "genesis.json").write_bytes(run.genesis_file.read_bytes())
    return network


def provision_kubernetes(
    manifest: Manifest, folder: Path, image: str = IMAGE, namespace: str | None = None
) -> NetworkFile:
    """A folder for ``kubectl apply -k``: manifests, ``kustomization.yaml``, and the files of every node.

    A folder that is provisioned already keeps its keys and genesis, and gets the manifests of this version and
    what ``image`` and ``namespace`` say. Raises BadInput where the genesis file is too large for a ConfigMap.
    """
    reference = _parts(image)
    ending = ("", f".{namespace}", f".{namespace}.svc", f".{namespace}.svc.cluster.local") if namespace else ("",)
    allowed = tuple(f"{service}{end}" for service in (RPC_SERVICE, SERVICE) for end in ending)
    if (folder / "network.json").exists():
        run = RunDirectory(folder)
        network = run.network()
    else:
        run, network = _provision(manifest, folder, lambda name: (f"{SERVICE}-{name[1:]}.{SERVICE}", allowed))
    size = run.genesis_file.stat().st_size
    if size > OBJECT_BYTES_MAX:
        raise BadInput(
            f"genesis.json has {size} bytes, and Kubernetes stores at most {OBJECT_BYTES_MAX} in one object",
            "start from a smaller genesis, or put it on a volume of your own",
        )
    for file in MANIFESTS:
        (folder / file).write_bytes(resources.files("network.kubernetes").joinpath(file).read_bytes())
    names = [node.name for node in network.nodes]
    (folder / "kustomization.yaml").write_text(_kustomization(run, names, reference, namespace), "utf-8")
    return network


def _provision(
    manifest: Manifest,
    folder: Path,
    naming: Callable[[str], tuple[str, tuple[str, ...]]],
    seed: bytes | None = None,
) -> tuple[RunDirectory, NetworkFile]:
    """``naming`` gives the host name that peers dial, and the names that JSON-RPC requests may carry."""
    run = RunDirectory(folder)
    folder.mkdir(parents=True, exist_ok=True)
    manifest = replace(manifest, host="0.0.0.0")
    places: Mapping[str, Place] = {
        name: Place("0.0.0.0", HTTP_PORT, "0.0.0.0", P2P_PORT, *naming(name)) for name in manifest.node_names()
    }
    network = provision(manifest, run, places, seed)
    for name in places:
        config = run.config_file(name)
        config.write_text(config.read_text("utf-8").replace('"../genesis.json"', '"genesis.json"'), "utf-8")
    return run, network


def _kustomization(run: RunDirectory, names: list[str], image: tuple[str, str, str], namespace: str | None) -> str:
    """The part of the manifests that differs between networks."""
    name, tag, digest = image
    lines = [
        "# written by evmesh provision --kubernetes; kubectl apply -k on this folder starts the network.",
        "# The folders n0, n1, … hold private keys: keep them out of version control.",
        "apiVersion: kustomize.config.k8s.io/v1beta1",
        "kind: Kustomization",
        *([f"namespace: {namespace}"] if namespace else []),
        "resources:",
        *(f"  - {file}" for file in MANIFESTS),
        "replicas:",
        f"  - name: {SERVICE}",
        f"    count: {len(names)}",
        "images:",
        "  - name: evmesh",
        f"    newName: {json.dumps(name)}",
        *([f"    newTag: {json.dumps(tag)}"] if tag else []),
        *([f"    digest: {json.dumps(digest)}"] if digest else []),
        "configMapGenerator:",
        "  - name: evmesh-genesis",
        "    files:",
        "      - genesis.json",
        "secretGenerator:",
        "  - name: evmesh-nodes",
        "    files:",
    ]
    for node in names:
        files = sorted(path.name for path in run.node_dir(node).iterdir() if path.suffix in (".toml", ".key", ".keys"))
        lines += [f"      - {node}.{file}={node}/{file}" for file in files]
    return "\n".join(lines) + "\n"


def _parts(image: str) -> tuple[str, str, str]:
    """(name, tag, digest) of an image reference; a colon before the last slash belongs to the registry's port."""
    rest, _, digest = image.partition("@")
    folder, slash, last = rest.rpartition("/")
    name, _, tag = last.partition(":")
    if not name or any(character.isspace() for character in image):
        raise BadInput(f"{image!r} is not the name of an image", "for example registry:5000/evmesh:0.1.0")
    return f"{folder}{slash}{name}", tag, digest
