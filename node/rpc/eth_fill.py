"""eth_fillTransaction: what a wallet would have to ask for one by one: nonce, gas, fees."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from node.execution.calls import CallRequest, estimate_gas
from node.primitives.hexadecimal import to_data, to_quantity
from node.rpc import encoding
from node.rpc.api import Api
from node.rpc.call_parameters import call_request
from node.rpc.errors import refused
from node.rpc.eth_calls import check_chain, run_in_words, surroundings
from node.rpc.methods import MethodTable
from node.rpc.parameters import Tag
from node.types.transactions import ACCESS_LIST, BLOB, FEE_MARKET, LEGACY, SET_CODE, Transaction

METHODS: Final = MethodTable({CallRequest: call_request})
method = METHODS.method

Json = dict[str, Any]


async def gas_needed(api: Api, request: CallRequest) -> int:
    """A gas limit with which the transaction succeeds after what waits in the pool. Raises RpcError."""
    first = api.pending.prepare([Tag.PENDING])
    if first is not None:
        await first
    gas: int = await api.lane.run(run_in_words, estimate_gas, request, surroundings(api, Tag.PENDING))
    return gas


async def filled_transaction(api: Api, request: CallRequest) -> Transaction:
    """The transaction with everything that was missing, unsigned. Raises RpcError."""
    check_chain(request, api.backend.chain.chain_id)
    if request.to is None and not request.data:
        raise refused("contract creation without any data provided")
    fees, chain = api.fees, api.backend.chain
    next_fee = fees.next_base_fee(chain.head)
    filled = request
    if request.nonce is None:
        account = chain.view_at(chain.head).account(request.sender)
        nonce = 0 if account is None else account.nonce
        filled = replace(filled, nonce=max(nonce, api.backend.pool.pending_nonce(request.sender) or 0))
    if request.gas_price is None:
        tip = request.max_priority_fee_per_gas
        if tip is None:
            tip = fees.tip()
            if request.max_fee_per_gas is not None:
                tip = min(tip, request.max_fee_per_gas)
        cap = tip + 2 * next_fee if request.max_fee_per_gas is None else request.max_fee_per_gas
        if cap < tip:
            raise refused(f"maxFeePerGas ({cap}) < maxPriorityFeePerGas ({tip})")
        filled = replace(filled, max_fee_per_gas=cap, max_priority_fee_per_gas=tip)
    if request.blob_versioned_hashes and request.max_fee_per_blob_gas is None:
        filled = replace(filled, max_fee_per_blob_gas=2 * fees.next_blob_base_fee(chain.head))
    if request.gas is None:
        filled = replace(filled, gas=await gas_needed(api, filled))
    return _transaction(filled, chain.chain_id)


@method("eth_fillTransaction")
async def fill_transaction(api: Api, request: CallRequest) -> Json:
    """The transaction with everything that was missing, unsigned: ``raw`` as it would be signed, ``tx`` as JSON."""
    tx = await filled_transaction(api, request)
    next_fee = api.fees.next_base_fee(api.backend.chain.head)
    told = encoding.pending_transaction(tx)
    for name in ("blockHash", "blockNumber", "blockTimestamp", "transactionIndex", "from"):
        del told[name]
    told["gasPrice"] = to_quantity(tx.effective_gas_price(next_fee))
    return {"raw": to_data(tx.encode()), "tx": told}


def _transaction(request: CallRequest, chain_id: int) -> Transaction:
    assert request.nonce is not None
    assert request.gas is not None
    if request.gas_price is not None:
        kind = ACCESS_LIST if request.access_list else LEGACY
    else:
        kind = SET_CODE if request.authorization_list else BLOB if request.blob_versioned_hashes else FEE_MARKET
    price = request.gas_price
    return Transaction(
        type=kind,
        chain_id=chain_id,
        nonce=request.nonce,
        gas_limit=request.gas,
        to=request.to,
        value=request.value,
        data=request.data,
        max_fee_per_gas=request.fee_cap,
        max_priority_fee_per_gas=price if price is not None else request.max_priority_fee_per_gas or 0,
        access_list=request.access_list,
        max_fee_per_blob_gas=request.max_fee_per_blob_gas or 0,
        blob_versioned_hashes=request.blob_versioned_hashes,
        authorization_list=request.authorization_list,
    ).sent_by(request.sender)
