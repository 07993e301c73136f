"""What development tools ask a node about itself, under the names that hardhat and anvil gave these questions."""

from __future__ import annotations

from typing import Any, Final

from node.crypto.hashes import keccak256
from node.primitives.hexadecimal import to_data, to_quantity
from node.rpc.api import Api
from node.rpc.methods import MethodTable
from node.rpc.net import client_version

METHODS: Final = MethodTable()
method = METHODS.method

Json = dict[str, Any]


def _metadata(api: Api) -> Json:
    chain = api.backend.chain
    return {
        "clientVersion": client_version(api.backend.version),
        "chainId": chain.chain_id,
        # one for a network: tools notice by it that they talk to another one under the same address
        "instanceId": to_data(keccak256(b"evmesh/instance" + chain.genesis_hash)),
        "latestBlockNumber": chain.head.number,
        "latestBlockHash": to_data(chain.head.hash),
        "snapshots": {},
    }


@method("hardhat_metadata")
def hardhat_metadata(api: Api) -> Json:
    """Client, chain and instance. Heights are JSON numbers here."""
    return _metadata(api)


@method("anvil_metadata")
def anvil_metadata(api: Api) -> Json:
    """Client, chain and instance. Heights are JSON numbers here."""
    return _metadata(api)


@method("anvil_nodeInfo")
def node_info(api: Api) -> Json:
    """The head, its rules and fees."""
    chain, fees = api.backend.chain, api.fees
    head = chain.head
    return {
        "currentBlockNumber": to_quantity(head.number),
        "currentBlockTimestamp": head.timestamp,
        "currentBlockHash": to_data(head.hash),
        "hardFork": chain.spec_for(head).name,
        "transactionOrder": "fees",
        "environment": {
            "baseFee": to_quantity(head.base_fee_per_gas or 0),
            "chainId": chain.chain_id,
            "gasLimit": to_quantity(head.gas_limit),
            "gasPrice": to_quantity(fees.next_base_fee(head) + fees.tip()),
        },
        "forkConfig": {"forkUrl": None, "forkBlockNumber": None, "forkRetryBackoff": None},
    }
