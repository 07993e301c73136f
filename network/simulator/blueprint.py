"""A cluster from a seed: keys, genesis and configuration of every node, without a file being written.

What ``provision`` does for real processes, with keys drawn from the seed and addresses on the simulated network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from network.accounts import Account, derive_accounts, seed_of
from network.genesis import build_genesis
from network.manifest import Manifest
from network.simulator.clocks import START_WALL_MS
from network.simulator.entropy import stream_key
from node.chain.genesis import Genesis, genesis_from_json
from node.config import ConsensusSettings, NodeConfig, NodeSettings, P2PSettings, PoolSettings
from node.crypto.secp256k1 import ORDER, address_of_private_key
from node.p2p.identity import Identity

P2P_PORT: Final = 30303


@dataclass(frozen=True, slots=True)
class NodePlan:
    """One node: what its operator would have in files."""

    name: str
    config: NodeConfig
    node_key: bytes = field(repr=False)
    validator_key: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Blueprint:
    """What all nodes share, and each node's own."""

    genesis: Genesis
    nodes: tuple[NodePlan, ...]
    accounts: tuple[Account, ...]


def make_blueprint(
    seed: int,
    nodes: int = 4,
    weights: Sequence[int] = (),
    block_time_ms: int = 1000,
    accounts: int = 10,
    engine: str = "bft",
    log_level: str = "warning",
    slots_per_epoch: int = 2,
    twins: Sequence[str] = (),
) -> Blueprint:
    """``weights``: voting weight a node, 0 for a follower; all 1 when empty. Node i listens on 10.0.0.(i+1).

    ``twins``: nodes that there are twice, the second one as ``n3+``, both with one validator key.
    """
    firsts = [f"n{index}" for index in range(nodes)]
    shares = list(weights) or [1] * nodes
    if len(shares) != nodes or not any(shares):
        raise ValueError(f"{len(shares)} weights for {nodes} nodes")
    names = [*firsts, *(f"{name}+" for name in twins)]
    voters = {name: _validator_key(seed, name) for name, weight in zip(firsts, shares, strict=True) if weight}
    manifest = Manifest(
        nodes=nodes,
        block_time=block_time_ms,
        consensus=engine,
        accounts=accounts,
        slots_per_epoch=slots_per_epoch,
    )
    funded = derive_accounts(seed_of(manifest.mnemonic), accounts)
    document = build_genesis(
        manifest,
        funded,
        [(address_of_private_key(voters[name]), weight) for name, weight in zip(firsts, shares, strict=True) if weight],
        START_WALL_MS // 1000,
    )
    identities = {name: Identity(stream_key(seed, "node key", name)) for name in names}
    addresses = {name: f"10.0.{index >> 8}.{index & 255}:{P2P_PORT}" for index, name in enumerate(names, 1)}
    plans = []
    for name in names:
        config = NodeConfig(
            node=NodeSettings(name=name, data_dir=f"/simulated/{name}", genesis="genesis", log_level=log_level),
            p2p=P2PSettings(
                listen=addresses[name],
                bootnodes=tuple(identities[other].dial_string(addresses[other]) for other in names if other != name),
            ),
            consensus=ConsensusSettings(engine=engine, block_time_ms=block_time_ms),
            pool=PoolSettings(),
        )
        plans.append(NodePlan(name, config, stream_key(seed, "node key", name), voters.get(name.removesuffix("+"))))
    return Blueprint(genesis_from_json(document), tuple(plans), tuple(funded))


def _validator_key(seed: int, name: str) -> bytes:
    number = int.from_bytes(stream_key(seed, "validator key", name), "big") % (ORDER - 1) + 1
    return number.to_bytes(32, "big")
