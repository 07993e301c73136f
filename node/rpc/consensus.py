"""evmesh: what only this network has: who agrees on what, and how far."""

from __future__ import annotations

from typing import Any, Final

from node.evm.native import choice
from node.primitives.hexadecimal import to_data, to_quantity
from node.rpc.api import Api
from node.rpc.backend import PeerFacts, canonical
from node.rpc.errors import INVALID_PARAMS, RpcError
from node.rpc.methods import MethodTable
from node.rpc.net import client_version
from node.rpc.parameters import BlockNumber, Tag
from node.types.blocks import Header

METHODS: Final = MethodTable()
method = METHODS.method

STATE_ROOTS_MAX: Final = 1_024
BLOCKS_MAX: Final = 1_024
LINKS_CHECKED: Final = 64

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
    """One node at a glance. Weights, heights and counts are JSON numbers; chain values are quantities.

    ``head``, ``safe`` and ``finalized`` are {number, hash, stateRoot, timestamp}; ``consensus`` is evmesh_consensus
    without its validators, ``validators`` is evmesh_validators; ``role`` is validator, follower, archive, or joining
    while a state is fetched; ``health`` is "ok" or what is wrong.
    """
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
        "engine": facts.pop("engine", None),
        "role": facts.pop("role", None) or ("validator" if facts.get("validator") else "follower"),
        "head": _mark(chain.head),
        "safe": _mark(chain.safe),
        "finalized": _mark(chain.finalized),
        "evm": choice.kind_of(backend.vm),
        "peers": [_peer(peer) for peer in backend.peers()],
        "consensus": plain(facts),
        "validators": plain(validators),
        "pool": {"pending": pending, "queued": queued},
        "health": backend.health() or "ok",
        "uptimeMs": backend.runtime.clock.monotonic_ms() - api.started_ms,
    }


def _peer(peer: PeerFacts) -> Json:
    return {
        "id": peer.node_id.hex(),
        "name": peer.name,
        "address": peer.remote_address,
        "direction": "outbound" if peer.outbound else "inbound",
        "score": peer.score,
    }


@method("evmesh_peers")
def peers(api: Api) -> list[Json]:
    """Who is connected, and how the link does.

    Each as in evmesh_status, and ``connectedMs`` (for how long), ``rttMs`` (the last heartbeat, null before the first),
    ``bytesIn``, ``bytesOut``, ``dropped`` (messages that made room for newer ones, because the peer reads too slowly).
    """
    return [
        {
            **_peer(peer),
            "connectedMs": peer.connected_ms,
            "rttMs": peer.rtt_ms,
            "bytesIn": peer.bytes_in,
            "bytesOut": peer.bytes_out,
            "dropped": peer.dropped,
        }
        for peer in api.backend.peers()
    ]


@method("evmesh_validators")
def validators(api: Api) -> list[Any]:
    """Who may vote, and with what weight: [{address, weight}]."""
    told: list[Any] = plain(api.backend.consensus.inspect().get("validators", []))
    return told


@method("evmesh_consensus")
def consensus(api: Api) -> Json:
    """Everything that the consensus driver says of itself.

    All engines: ``engine``, ``height`` (of the next block), ``validators``, ``syncing`` (false or {from, to}),
    ``waitingMessages``, ``refusedMessages`` by reason. bft: ``round``, ``step``, ``proposer``, ``proposal``, the
    ``prevotes`` and ``precommits`` of the round by block, the locked and the valid block, ``evidence``. pos: ``slot``,
    ``epoch``, ``nextSlotInMs``, ``head``, ``justified``, ``finalized``, ``votes`` of the epoch, ``missing`` ones,
    ``slashed``, ``tree`` (evmesh_blockTree has it with marks).
    """
    told: Json = plain(dict(api.backend.consensus.inspect()))
    return told


@method("evmesh_stateRoots")
def state_roots(api: Api, first: BlockNumber, last: BlockNumber = Tag.LATEST) -> list[Json]:
    """Number, hash, state root and time of canonical blocks (at most 1,024 at a time), to compare nodes by."""
    head = api.backend.chain.head.number
    start, stop = api.blocks.number(first), min(api.blocks.number(last), head)
    if start > stop:
        raise RpcError(INVALID_PARAMS, "invalid block range params")
    if stop - start >= STATE_ROOTS_MAX:
        raise RpcError(INVALID_PARAMS, f"at most {STATE_ROOTS_MAX} blocks at a time")
    headers = (api.backend.chain.header_by_number(number) for number in range(start, stop + 1))
    return [_mark(header) for header in headers if header is not None]


@method("evmesh_blockTree")
def block_tree(api: Api) -> Json:
    """The blocks that are not final yet, and the finalized one that they stand on.

    ``head``, ``safe``, ``finalized`` as in evmesh_status; ``blocks``: {hash, parent, number, canonical}, and with
    engine pos {slot, proposer, weight, justifiedEpoch}. Of a long unfinalized chain the newest 1,024 are told.
    """
    chain = api.backend.chain
    told = plain(api.backend.consensus.inspect().get("tree") or _canonical_blocks(api))
    for block in told:
        block["canonical"] = to_data(chain.canonical_hash(int(block["number"])) or b"") == block["hash"]
    return {
        "head": _mark(chain.head),
        "safe": _mark(chain.safe),
        "finalized": _mark(chain.finalized),
        "blocks": told[-BLOCKS_MAX:],
    }


def _canonical_blocks(api: Api) -> list[Json]:
    chain = api.backend.chain
    last = chain.head.number
    first = max(chain.finalized.number, last - BLOCKS_MAX + 1)
    headers = (chain.header_by_number(number) for number in range(first, last + 1))
    return [
        {"hash": to_data(header.hash), "parent": to_data(header.parent_hash), "number": header.number}
        for header in headers
        if header is not None
    ]


@method("evmesh_invariants")
def invariants(api: Api) -> Json:
    """What this node can check of itself; what takes several nodes, the judge of `evmesh up` watches.

    ``holds``, and ``promises``: [{name, holds, why}], where ``why`` is null or what is wrong. order: finalized <= safe
    <= head. canonical: all three marks stand on the canonical chain. linkage: each of the newest 64 blocks names the
    one below it as its parent and is later. honesty: none of this node's keys is convicted.
    """
    promises = [
        {"name": name, "holds": why is None, "why": why}
        for name, why in (
            ("order", _order(api)),
            ("canonical", _marks_are_canonical(api)),
            ("linkage", _linkage(api)),
            ("honesty", _honesty(api)),
        )
    ]
    return {"holds": all(promise["holds"] for promise in promises), "promises": promises}


def _order(api: Api) -> str | None:
    chain = api.backend.chain
    finalized, safe, head = chain.finalized.number, chain.safe.number, chain.head.number
    return None if finalized <= safe <= head else f"finalized {finalized}, safe {safe}, head {head}"


def _marks_are_canonical(api: Api) -> str | None:
    chain = api.backend.chain
    for name, header in (("finalized", chain.finalized), ("safe", chain.safe), ("head", chain.head)):
        if not canonical(chain, header):
            return f"{name} {to_data(header.hash)} is not the canonical block {header.number}"
    return None


def _linkage(api: Api) -> str | None:
    chain = api.backend.chain
    above = chain.head
    for number in range(above.number - 1, max(-1, above.number - LINKS_CHECKED), -1):
        below = chain.header_by_number(number)
        if below is None or above.parent_hash != below.hash:
            return f"block {above.number} does not stand on block {number}"
        if above.timestamp <= below.timestamp:
            return f"block {above.number} is not later than block {number}"
        above = below
    return None


def _honesty(api: Api) -> str | None:
    facts = plain(dict(api.backend.consensus.inspect()))
    keys = facts.get("keys") or [facts.get("validator")]
    convicted = [*(facts.get("slashed") or ()), *(one["validator"] for one in facts.get("evidence") or ())]
    mine = [key for key in keys if key is not None and key in convicted]
    return f"convicted: {', '.join(mine)}" if mine else None
