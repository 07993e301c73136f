"""testing_buildBlockV1: a block on any known parent out of given transactions. Nothing of it is kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from node.execution.builder import BuiltBlock, PayloadAttributes, build_block
from node.execution.geth_words import geth_message
from node.primitives.hexadecimal import to_data, to_quantity
from node.primitives.scalars import ZERO_HASH, Address, Hash32
from node.rpc import encoding
from node.rpc.api import Api
from node.rpc.backend import Pool
from node.rpc.errors import invalid_params, refused
from node.rpc.eth_calls import TimedMachine
from node.rpc.eth_simulate import read_withdrawals
from node.rpc.eth_transactions import decoded
from node.rpc.methods import MethodTable
from node.rpc.parameters import ParameterError, address, data, fields, hash32, items, quantity64
from node.types.blobs import Sidecar
from node.types.invalid import InvalidBlock
from node.types.transactions import BLOB, Transaction

GAS_LIMIT_TARGET: Final = 60_000_000
"""Where gas limits move to, block by block; geth's."""
TRANSACTIONS_MAX: Final = 4_096
EXTRA_DATA_MAX: Final = 32
TIP_MIN: Final = 1_000_000
"""Wei a gas that a transaction of the pool must leave to the proposer; geth's."""

Json = dict[str, Any]


class RawTransactions(tuple[bytes, ...]):
    """Signed transactions in their network form."""

    __slots__ = ()


def raw_transactions(value: object) -> RawTransactions:
    """Read the list. Raises ParameterError."""
    return RawTransactions(data(item) for item in items(value, "transactions", TRANSACTIONS_MAX))


def payload_attributes(value: object) -> PayloadAttributes:
    """Read PayloadAttributesV3. Raises ParameterError."""
    given = fields(value, "payload attributes")
    withdrawals, root = given.get("withdrawals"), given.get("parentBeaconBlockRoot")
    for name in ("timestamp", "prevRandao", "suggestedFeeRecipient"):
        if given.get(name) is None:
            raise ParameterError(f"missing {name}")
    return PayloadAttributes(
        timestamp=quantity64(given["timestamp"]),
        prev_randao=hash32(given["prevRandao"]),
        coinbase=address(given["suggestedFeeRecipient"]),
        withdrawals=() if withdrawals is None else read_withdrawals(withdrawals),
        parent_beacon_block_root=ZERO_HASH if root is None else hash32(root),
        gas_limit_target=GAS_LIMIT_TARGET,
    )


METHODS: Final = MethodTable({RawTransactions: raw_transactions, PayloadAttributes: payload_attributes})
method = METHODS.method


@method("testing_buildBlockV1")
async def build(
    api: Api,
    parent_hash: Hash32,
    attributes: PayloadAttributes,
    transactions: RawTransactions | None = None,
    extra_data: bytes = b"",
) -> Json:
    """The payload. Given transactions must all stand in it; without a list it takes what the pool has."""
    chain, pool = api.backend.chain, api.backend.pool
    parent = chain.header_by_hash(parent_hash)
    if parent is None:
        raise refused("unknown parent")
    if attributes.timestamp <= parent.timestamp:
        raise refused(f"invalid timestamp: {attributes.timestamp} <= {parent.timestamp}")
    if len(extra_data) > EXTRA_DATA_MAX:
        raise invalid_params(f"invalid argument 3: extra data of {len(extra_data)} bytes, at most {EXTRA_DATA_MAX}")
    sidecars: dict[Hash32, Sidecar | None] = {}
    candidates: list[Transaction] = []
    if transactions is not None:
        for raw in transactions:
            tx, sidecars[tx.hash] = decoded(raw)
            candidates.append(tx)
    else:
        candidates = _worth_it(pool, api.fees.next_base_fee(parent))
    built = await api.lane.run(_build, api, parent_hash, attributes, candidates, extra_data)
    if transactions is not None:
        if built.skipped:
            raise refused(geth_message(built.skipped[0][1]))
        if len(built.block.transactions) != len(candidates):
            raise refused("gas limit reached")
    blobs = [tx for tx in built.block.transactions if tx.type == BLOB]
    return _told(built, [sidecars.get(tx.hash) or pool.sidecar(tx.hash) for tx in blobs])


def _worth_it(pool: Pool, base_fee: int) -> list[Transaction]:
    """What waits, best first, without what tips too little and what comes after that (geth's miner)."""
    chosen: list[Transaction] = []
    poor: dict[Address, bool] = {}
    for tx in pool.candidates(base_fee):
        if tx.effective_gas_price(base_fee) - base_fee < TIP_MIN:
            poor[tx.sender] = True
        elif tx.sender not in poor:
            chosen.append(tx)
    return chosen


def _build(
    api: Api, parent_hash: Hash32, attributes: PayloadAttributes, candidates: list[Transaction], extra_data: bytes
) -> BuiltBlock:
    """Raises RpcError."""
    chain = api.backend.chain
    parent = chain.header_by_hash(parent_hash)
    assert parent is not None, "it was there a moment ago"
    try:
        return build_block(
            parent,
            chain.view_at(parent),
            PayloadAttributes(
                timestamp=attributes.timestamp,
                prev_randao=attributes.prev_randao,
                coinbase=attributes.coinbase,
                withdrawals=attributes.withdrawals,
                parent_beacon_block_root=attributes.parent_beacon_block_root,
                extra_data=extra_data,
                gas_limit_target=attributes.gas_limit_target,
            ),
            candidates,
            chain.next_spec(parent, attributes.timestamp),
            TimedMachine(api.backend.vm, api.lane.deadline()),
            chain.chain_id,
            chain.block_hashes(parent),
            chain.nodes_at(parent),
        )
    except InvalidBlock as error:
        raise refused(str(error)) from None


def _told(built: BuiltBlock, sidecars: Sequence[Sidecar | None]) -> Json:
    """The answer of engine_getPayload."""
    bundles = [one for one in sidecars if one is not None]
    block, header = built.block, built.block.header
    base_fee = header.base_fee_per_gas or 0
    used_before = value = 0
    for tx, receipt in zip(block.transactions, built.result.receipts, strict=True):
        used = receipt.cumulative_gas_used - used_before
        used_before = receipt.cumulative_gas_used
        value += used * max(0, tx.effective_gas_price(base_fee) - base_fee)
    payload: Json = {
        "parentHash": to_data(header.parent_hash),
        "feeRecipient": to_data(header.coinbase),
        "stateRoot": to_data(header.state_root),
        "receiptsRoot": to_data(header.receipts_root),
        "logsBloom": to_data(header.logs_bloom),
        "prevRandao": to_data(header.prev_randao),
        "blockNumber": to_quantity(header.number),
        "gasLimit": to_quantity(header.gas_limit),
        "gasUsed": to_quantity(header.gas_used),
        "timestamp": to_quantity(header.timestamp),
        "extraData": to_data(header.extra_data),
        "baseFeePerGas": to_quantity(base_fee),
        "blockHash": to_data(header.hash),
        "transactions": [to_data(tx.encode()) for tx in block.transactions],
    }
    if block.withdrawals is not None:
        payload["withdrawals"] = [encoding.withdrawal(item) for item in block.withdrawals]
    if header.blob_gas_used is not None:
        payload["blobGasUsed"] = to_quantity(header.blob_gas_used)
        payload["excessBlobGas"] = to_quantity(header.excess_blob_gas or 0)
    return {
        "executionPayload": payload,
        "blockValue": to_quantity(value),
        "blobsBundle": {
            "commitments": [to_data(item) for one in bundles for item in one.commitments],
            "proofs": [to_data(item) for one in bundles for item in one.proofs],
            "blobs": [to_data(item) for one in bundles for item in one.blobs],
        },
        "executionRequests": [to_data(request) for request in built.result.requests],
        "shouldOverrideBuilder": False,
    }
