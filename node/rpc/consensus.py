"""evmesh: what only this network has: who agrees on what, and how far."""

from __future__ import annotations

from typing import Any, Final

from node.evm.native import choice
from node.primitives.hexadecimal import to_data, to_quantity
from node.rpc.api import Api
from node.rpc.errors import INVALID_PARAMS, RpcError
from node.rpc.methods import MethodTable
from node.rpc.net import client_version
from node.rpc.parameters import BlockNumber, Tag
from node.types.blocks import Header

METHODS: Final = MethodTable()
method = METHODS.method

STATE_ROOTS_MAX: Final = 1_024

Json = dict[str, Any]


def plain(value: Any) -> Any:
    """Consensus facts as JSON values: bytes as hex, numbers beyond 53 bits as quantities."""
    if isinstance(value, bytes | bytearray):
        return to_data(bytes(value))
    if isinstance(value, bool) or value is None or isinstance(value, str | float):
        return value
    if isinstance(value, int):
        return value if abs(value) < 2**53 else hex(value)
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return str(value)


def _mark(header: Header) -> Json:
    return {
        "number": to_quantity(header.number),
        "hash": to_data(header.hash),
        "stateRoot": to_data(header.state_root),
        "timestamp": to_quantity(header.timestamp),
    }


@method("evmesh_status")
def status(api: Api) -> Json:
    """One node at a glance. Weights, heights and counts are JSON numbers; chain values are quantities."""
    backend = api.backend
    chain = backend.chain
    facts = dict(backend.consensus.inspect())
    pending, queued = backend.pool.status()
    validators = facts.pop("validators", [])
    return {
        "name": backend.name,
        "client": client_version(backend.version),
        "chainId": to_quantity(chain.chain_id),
        "genesisHash": to_data(chain.genesis_hash),
        "evm": choice.kind_of(backend.vm),
        "engine": facts.pop("engine", None),
        "role": facts.pop("role", None) or ("validator" if facts.get("validator") else "follower"),
        "head": _mark(chain.head),
        "safe": _mark(chain.safe),
        "finalized": _mark(chain.finalized),
        "peers": [
            {
                "id": peer.node_id.hex(),
                "name": peer.name,
                "address": peer.remote_address,
                "direction": "outbound" if peer.outbound else "inbound",
                "score": peer.score,
            }
            for peer in backend.peers()
        ],
        "consensus": plain(facts),
        "validators": plain(validators),
        "pool": {"pending": pending, "queued": queued},
        "health": backend.health() or "ok",
        "uptimeMs": backend.runtime.clock.monotonic_ms() - api.started_ms,
    }


@method("evmesh_validators")
def validators(api: Api) -> list[Any]:
    """Who may vote, and with what weight."""
    told: list[Any] = plain(api.backend.consensus.inspect().get("validators", []))
    return told


@method("evmesh_consensus")
def consensus(api: Api) -> Json:
    """Everything that the consensus driver says of itself."""
    told: Json = plain(dict(api.backend.consensus.inspect()))
    return told


@method("evmesh_stateRoots")
def state_roots(api: Api, first: BlockNumber, last: BlockNumber = Tag.LATEST) -> list[Json]:
    """Number, hash and state root of canonical blocks, to compare nodes by."""
    head = api.backend.chain.head.number
    start, stop = api.blocks.number(first), min(api.blocks.number(last), head)
    if start > stop:
        raise RpcError(INVALID_PARAMS, "invalid block range params")
    if stop - start >= STATE_ROOTS_MAX:
        raise RpcError(INVALID_PARAMS, f"at most {STATE_ROOTS_MAX} blocks at a time")
    headers = (api.backend.chain.header_by_number(number) for number in range(start, stop + 1))
    return [_mark(header) for header in headers if header is not None]
