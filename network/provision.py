"""From a manifest to files: ports, keys, genesis and one ``node.toml`` a node.

Node keys come from the machine's entropy (from the seed, where one is given). Validator keys come from a secret
seed of the run, on another derivation path than the funded accounts: an account whose key the world knows must never
hold a vote.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from network import genesis
from network.accounts import VALIDATOR_PATH, Account, checksum_address, derive_accounts, seed_of
from network.cluster import links, ports, run_directory
from network.cluster.process import write_json
from network.cluster.run_directory import PAGE_HOST, NetworkFile, NodeEntry, RunDirectory
from network.failures import BadInput, Busy, Failure
from network.manifest import Manifest
from node.consensus.journal import NEW_KEYS_FILE
from node.p2p.identity import Identity
from node.primitives.scalars import Address

SEED_BYTES: Final = 32
PAGE_PORTS_TRIED: Final = 100
_SHIFT: Final = 100
"""Distance to the next block of ports that is tried when another evmesh network has the default ones."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a node listens, and how others reach it."""

    http_host: str
    http_port: int
    p2p_host: str
    p2p_port: int
    dial_host: str
    """The host that peers dial: an address, or a service name inside a container network."""
    allowed_hosts: tuple[str, ...] = ()
    """Host names that JSON-RPC requests may carry."""


def choose_places(manifest: Manifest) -> tuple[dict[str, Place], str]:
    """A free place for every node, and a note where it is not the usual one. Raises Busy naming the holder.

    Ports that were asked for are taken or refused. The default ports are given up only to another evmesh
    network, so that two networks can run side by side and a stranger on 8545 is never hidden.
    """
    names = manifest.node_names()
    http, http_note = _choose(manifest, "port", "--port")
    p2p, p2p_note = _choose(manifest, "p2p_port", "--p2p-port", taken=set(http))
    dial = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(manifest.host, manifest.host)
    dial = f"[{dial}]" if ":" in dial else dial
    places = {
        name: Place(manifest.host, http[index], manifest.host, p2p[index], dial) for index, name in enumerate(names)
    }
    return places, "; ".join(note for note in (http_note, p2p_note) if note)


def _choose(manifest: Manifest, key: str, flag: str, taken: set[int] | None = None) -> tuple[list[int], str]:
    base: int = getattr(manifest, key)
    fixed = [getattr(manifest.of_node(name), key) for name in manifest.node_names()]

    def block(start: int) -> list[int]:
        return [port or start + index for index, port in enumerate(fixed)]

    if base == 0:
        avoided = (taken or set()) | {port for port in fixed if port}
        free = iter(ports.pick_free(manifest.host, manifest.nodes, avoided))
        return [port or next(free) for port in fixed], ""
    wanted = block(base)
    if len(set(wanted) | (taken or set())) != len(wanted) + len(taken or ()):
        raise BadInput(f"two nodes would share a port: {wanted}", f"choose another {flag}")
    try:
        ports.require_free(manifest.host, wanted, flag)
        return wanted, ""
    except Busy as busy:
        owner = _evmesh_owner(busy)
        if owner is None or key in manifest.given or any(fixed):
            raise
    for start in range(base + _SHIFT, min(base + 40 * _SHIFT, 65_000), _SHIFT):
        if all(ports.is_free(manifest.host, port) for port in block(start)):
            return block(start), f"{flag} {base} belongs to network {owner}, using {start}"
    raise Busy(f"no free block of {manifest.nodes} ports above {base}", f"name one with {flag}")


def _evmesh_owner(busy: Busy) -> str | None:
    """The network of ours that has the port."""
    port = busy.facts.get("port")
    for run in run_directory.all_runs():
        for record in run.running().values():
            if port in (record.http_port, record.p2p_port):
                return run.name
    return None


def choose_links(places: Mapping[str, Place]) -> links.Wiring | None:
    """A free port for every link between nodes of this machine; None for a node alone."""
    if len(places) < 2:
        return None
    first = next(iter(places.values()))
    listening = {name: place.p2p_port for name, place in places.items()}
    taken = [place.http_port for place in places.values()]
    return links.choose(first.dial_host.strip("[]"), listening, taken)


def choose_page(manifest: Manifest, taken: Collection[int] = ()) -> tuple[int | None, str]:
    """A free port for the cluster page (None: none is wanted), and a note where it is not the usual one.

    A port that was asked for is taken or refused (Busy). The usual one is given up to anybody: a network need not
    stay away because a page could not be where it mostly is.
    """
    if not manifest.page:
        return None, ""
    wanted = manifest.page_port
    if wanted == 0 or (manifest.port == 0 and "page_port" not in manifest.given):
        return ports.pick_free(PAGE_HOST, 1, taken)[0], ""
    if "page_port" in manifest.given:
        ports.require_free(PAGE_HOST, [wanted], "--page-port")
        return wanted, ""
    return free_page_port(wanted, taken)


def free_page_port(wanted: int, taken: Collection[int] = ()) -> tuple[int, str]:
    """The wanted port or the next free one, and a note where it is another. Raises Busy."""
    for port in range(wanted, min(wanted + PAGE_PORTS_TRIED, 65_536)):
        if port not in taken and ports.is_free(PAGE_HOST, port):
            if port == wanted:
                return port, ""
            holder = ports.holder_of(wanted)
            return port, f"--page-port {wanted} is in use" + (f" by {holder}" if holder else "") + f", using {port}"
    raise Busy(f"no free port for the page from {wanted} on", "name one with --page-port, or leave it out: --no-page")


def provision(
    manifest: Manifest,
    run: RunDirectory,
    places: Mapping[str, Place],
    seed: bytes | None = None,
    wiring: links.Wiring | None = None,
    page_port: int | None = None,
) -> NetworkFile:
    """Write everything that the nodes need into an empty run directory. Raises BadInput for a bad genesis file.

    With ``wiring`` the nodes know each other only at the ports of their links, else where they really listen.
    """
    names = manifest.node_names()
    # a run that shall be the same again has the same identities, too
    node_keys = {name: hashlib.sha256(seed + name.encode()).digest() for name in names} if seed else {}
    seed = seed or secrets.token_bytes(SEED_BYTES)
    _write_secret(run.path / "validators.seed", seed.hex())
    voters = _voters(manifest, seed)
    validators = [(voter.address, manifest.of_node(name).weight) for name in names for voter in voters.get(name, ())]
    document = _genesis(manifest, validators)
    write_json(run.genesis_file, document)
    identities = {name: Identity(_new_node_key(run, name, node_keys.get(name))) for name in names}
    entries = []
    for name in names:
        own = voters.get(name, [])
        if manifest.dev:
            _write_secret(
                run.node_dir(name) / "dev.keys", "\n".join(one.private_key.hex() for one in funded_accounts(manifest))
            )
        for index, voter in enumerate(own):
            _write_secret(run.node_dir(name) / _key_file(index), voter.private_key.hex())
        run.database_dir(name).mkdir(0o700)
        (run.database_dir(name) / NEW_KEYS_FILE).touch()
        bootnodes = [
            identities[other].dial_string(
                wiring.dial_address(name, other)
                if wiring is not None
                else f"{places[other].dial_host}:{places[other].p2p_port}"
            )
            for other in names
            if other != name
        ]
        run.config_file(name).write_text(_node_toml(manifest, name, places[name], bootnodes, own), "utf-8")
        place = places[name]
        entries.append(
            NodeEntry(
                name,
                place.http_host,
                place.http_port,
                place.p2p_port,
                identities[name].node_id.hex(),
                own[0].checksummed if own else None,
                tuple(voter.checksummed for voter in own[1:]),
            )
        )
    if wiring is not None:
        wiring.write(run.path)
    network = NetworkFile(
        name=run.name,
        chain_id=int(document["config"]["chainId"]),
        engine=manifest.consensus,
        block_time_ms=manifest.block_time,
        gas_limit=genesis.number_of(document.get("gasLimit"), manifest.gas_limit),
        base_fee=genesis.number_of(document.get("baseFeePerGas"), genesis.INITIAL_BASE_FEE),
        genesis_timestamp=genesis.number_of(document.get("timestamp"), 0),
        created_ms=time.time_ns() // 1_000_000,
        mnemonic=manifest.mnemonic,
        accounts=manifest.accounts,
        host=manifest.host,
        nodes=tuple(entries),
        dev=manifest.dev,
        page_port=page_port,
    )
    run.write_network(network)
    return network


def begin(
    manifest: Manifest,
    clean: bool = False,
    report: Callable[[str], None] = lambda text: None,
    seed: bytes | None = None,
    home: Path | None = None,
) -> RunDirectory:
    """A new network's directory, written in full; on failure nothing is left of it. Raises Failure.

    ``clean`` deletes a stopped network of the same name first; ``report`` hears of ports that are not the usual ones;
    ``home`` is where the directory shall be instead of the usual place.
    """
    name = manifest.name or run_directory.new_name()
    existing = RunDirectory((home or run_directory.state_home()) / name)
    if clean and existing.path.exists():
        existing.remove()
    run = run_directory.create(name, home)
    try:
        places, note = choose_places(manifest)
        wiring = choose_links(places)
        taken = [*wiring.ports.values()] if wiring is not None else []
        taken += [port for place in places.values() for port in (place.http_port, place.p2p_port)]
        page_port, page_note = choose_page(manifest, taken)
        for one in filter(None, (note, page_note)):
            report(f"note: {one}")
        provision(manifest, run, places, seed, wiring, page_port)
    except BaseException:
        run.remove()
        raise
    return run


def funded_accounts(network: NetworkFile | Manifest) -> list[Account]:
    """The accounts of a network's mnemonic."""
    return derive_accounts(seed_of(network.mnemonic), network.accounts)


def genesis_balances(run: RunDirectory) -> dict[Address, int]:
    """Wei of every account in the genesis file."""
    try:
        alloc = genesis.read_genesis(run.genesis_file).get("alloc", {})
        return {
            Address(bytes.fromhex(key.removeprefix("0x"))): genesis.number_of(account.get("balance"), 0)
            for key, account in alloc.items()
        }
    except (BadInput, ValueError, AttributeError) as error:
        raise Failure(f"{run.genesis_file} cannot be used: {error}") from None


def _genesis(manifest: Manifest, validators: list[tuple[Address, int]]) -> dict[str, Any]:
    accounts = funded_accounts(manifest)
    if manifest.genesis is None:
        return genesis.build_genesis(manifest, accounts, validators, int(time.time()))
    # imported here: it brings the whole EVM with it, which a start without --genesis must not wait for
    from node.chain.genesis import GenesisError, genesis_from_json

    document = genesis.adopt_genesis(manifest.genesis, manifest, accounts, validators)
    try:
        genesis_from_json(document)  # four nodes need not start to find a mistake that we can name now
    except GenesisError as error:
        raise BadInput(f"{manifest.genesis}: {error}", "see README.md for what a genesis file may hold") from None
    return document


def _voters(manifest: Manifest, seed: bytes) -> dict[str, list[Account]]:
    """The validators that each node votes for. A node's first key depends on its place only."""
    names = manifest.node_names()
    more = {name: manifest.of_node(name).keys - 1 for name in names}
    accounts = derive_accounts(seed, len(names) + sum(more.values()), VALIDATOR_PATH)
    further = iter(accounts[len(names) :])
    voters = {
        name: [first, *(next(further) for _ in range(more[name]))] for name, first in zip(names, accounts, strict=False)
    }
    return {name: own for name, own in voters.items() if manifest.of_node(name).validator}


def _key_file(index: int) -> str:
    return f"validator{index or ''}.key"


def _new_node_key(run: RunDirectory, name: str, given: bytes | None) -> bytes:
    run.node_dir(name).mkdir(mode=0o700, exist_ok=True)
    key = given or secrets.token_bytes(SEED_BYTES)
    _write_secret(run.node_dir(name) / "node.key", key.hex())
    return key


def _write_secret(path: Path, text: str) -> None:
    """A new file that only its owner can read, from its first byte on."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(text + "\n")


def _node_toml(manifest: Manifest, name: str, place: Place, bootnodes: list[str], voters: list[Account]) -> str:
    """One node's configuration. Paths are relative to the file, so that the directory can be moved or mounted."""
    listen_host = f"[{place.p2p_host}]" if ":" in place.p2p_host else place.p2p_host
    own = manifest.of_node(name)
    lines = [
        f"# {name} of an evmesh network; run it with: python -m node --config node.toml",
        "[node]",
        f"name = {_string(name)}",
        'data_dir = "."',
        'genesis = "../genesis.json"',
        f"log_level = {_string(own.log_level or manifest.log_level)}",
        f"log_format = {_string(manifest.log_format)}",
        *([f"state_history = {manifest.state_history}"] if manifest.state_history else []),
        *([f"sync = {_string(manifest.sync)}"] if manifest.sync != "full" else []),
        f"evm = {_string(manifest.evm)}",
        *(["hot = true"] if manifest.hot else []),
        "",
        "[p2p]",
        f"listen = {_string(f'{listen_host}:{place.p2p_port}')}",
        *([] if place.dial_host == listen_host else [f"advertise = {_string(f'{place.dial_host}:{place.p2p_port}')}"]),
        'node_key_file = "node.key"',
        f"bootnodes = {_list(bootnodes)}",
        f"peers_max = {max(25, 2 * manifest.nodes)}",
        "",
        "[rpc]",
        f"host = {_string(place.http_host)}",
        f"port = {place.http_port}",
        *(['dev_keys_file = "dev.keys"'] if manifest.dev else []),
        'cors_origins = ["*"]',
        *([f"allowed_hosts = {_list(place.allowed_hosts)}"] if place.allowed_hosts else []),
        "",
        "[consensus]",
        f"engine = {_string(manifest.consensus)}",
        f"block_time_ms = {manifest.block_time}",
        *(
            [
                f"# votes as {', '.join(checksum_address(voter.address) for voter in voters)}",
                f"validator_key_file = {_string(_key_file(0))}",
                *(
                    [f"validator_key_files = {_list([_key_file(index) for index in range(1, len(voters))])}"]
                    if len(voters) > 1
                    else []
                ),
            ]
            if voters
            else ["# no validator key: it follows"]
        ),
        "",
        "[pool]",
        "slots_max = 10000",
        "",
    ]
    return "\n".join(lines)


def _string(text: str) -> str:
    """A TOML basic string."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _list(texts: list[str] | tuple[str, ...]) -> str:
    if not texts:
        return "[]"
    return "[\n" + "".join(f"  {_string(text)},\n" for text in texts) + "]"
