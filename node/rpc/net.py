"""net and web3: who this node is."""

from __future__ import annotations

import platform
import sys
from typing import Any, Final

from node.crypto.hashes import keccak256
from node.primitives.hexadecimal import to_data, to_quantity
from node.rpc.api import Api
from node.rpc.methods import MethodTable

METHODS: Final = MethodTable()
method = METHODS.method

_PLATFORM: Final = f"{sys.platform}-{platform.machine()}/python{sys.version_info.major}.{sys.version_info.minor}"


def client_version(version: str) -> str:
    """What this program calls itself: evmesh/v0.1.0/linux-x86_64/python3.11."""
    return f"evmesh/v{version}/{_PLATFORM}"


@method("web3_clientVersion")
def web3_client_version(api: Api) -> str:
    """Name, version, platform."""
    return client_version(api.backend.version)


@method("web3_sha3")
def sha3(api: Api, data: bytes) -> str:
    """keccak256."""
    return to_data(keccak256(data))


@method("net_version")
def version(api: Api) -> str:
    """The network id, which is the chain id, in decimal."""
    return str(api.backend.chain.chain_id)


@method("net_listening")
def listening(api: Api) -> bool:
    """Whether peers can dial in."""
    return True


@method("net_peerCount")
def peer_count(api: Api) -> str:
    """Connected peers."""
    return to_quantity(len(api.backend.peers()))


@method("eth_capabilities")
def capabilities(api: Api) -> dict[str, Any]:
    """What history this node can answer for: all of it, since nothing is pruned."""
    head = api.backend.chain.head
    everything = {"disabled": False, "oldestBlock": "0x0"}
    return {
        "head": {"number": to_quantity(head.number), "hash": to_data(head.hash)},
        **{resource: dict(everything) for resource in ("state", "tx", "logs", "receipts", "blocks", "stateproofs")},
    }
