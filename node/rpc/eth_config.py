"""eth_config: which fork rules now, which comes next, and what each brings (EIP-7910)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from node.evm.spec import BlobRules, Spec
from node.primitives.hexadecimal import to_data, to_quantity
from node.primitives.scalars import ZERO_ADDRESS
from node.rpc.api import Api
from node.rpc.backend import PlannedFork
from node.rpc.methods import MethodTable

METHODS: Final = MethodTable()
method = METHODS.method

Json = dict[str, Any]

_PRECOMPILES: Final[Mapping[int, str]] = {
    0x01: "ECREC",
    0x02: "SHA256",
    0x03: "RIPEMD160",
    0x04: "ID",
    0x05: "MODEXP",
    0x06: "BN254_ADD",
    0x07: "BN254_MUL",
    0x08: "BN254_PAIRING",
    0x09: "BLAKE2F",
    0x0A: "KZG_POINT_EVALUATION",
    0x0B: "BLS12_G1ADD",
    0x0C: "BLS12_G1MSM",
    0x0D: "BLS12_G2ADD",
    0x0E: "BLS12_G2MSM",
    0x0F: "BLS12_PAIRING_CHECK",
    0x10: "BLS12_MAP_FP_TO_G1",
    0x11: "BLS12_MAP_FP2_TO_G2",
    0x100: "P256VERIFY",
}
_CALLED: Final = {"parent_beacon_block_root": "BEACON_ROOTS_ADDRESS", "parent_hash": "HISTORY_STORAGE_ADDRESS"}
_ASKED: Final = {
    0: "DEPOSIT_CONTRACT_ADDRESS",
    1: "WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS",
    2: "CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS",
}


@method("eth_config")
def eth_config(api: Api) -> Json:
    """The fork in force, the next and the last one planned; null where there is none."""
    chain = api.backend.chain
    now = chain.head.timestamp
    activations = chain.schedule.activations
    passed = [activation for activation in activations if activation.timestamp <= now]
    coming = [activation for activation in activations if activation.timestamp > now]
    following = [activation for activation in coming if activation.timestamp == coming[0].timestamp]
    return {
        "current": _told(api, passed[-1]) if passed else None,
        "next": _told(api, following[-1]) if following else None,
        "last": _told(api, coming[-1]) if coming else None,
    }


def _told(api: Api, activation: PlannedFork) -> Json:
    chain = api.backend.chain
    genesis = chain.header_by_number(0)
    assert genesis is not None, "every chain starts with one"
    identifier = chain.schedule.fork_id(chain.genesis_hash, genesis.timestamp, activation.timestamp)
    spec = activation.spec
    return {
        "activationTime": activation.timestamp,
        "blobSchedule": None if spec.blobs is None else _blobs(spec.blobs),
        "chainId": to_quantity(chain.chain_id),
        "forkId": to_data(identifier.hash),
        "precompiles": {
            name: to_data(address)
            for name, address in sorted(
                (_PRECOMPILES.get(int.from_bytes(address, "big"), f"0x{address.hex()}"), address)
                for address in spec.precompiles
            )
        },
        "systemContracts": _system_contracts(spec),
    }


def _blobs(rules: BlobRules) -> Json:
    return {"target": rules.target, "max": rules.max, "baseFeeUpdateFraction": rules.base_fee_update_fraction}


def _system_contracts(spec: Spec) -> Json:
    """By EIP-7910's names. A chain without a deposit contract shows address 0, as geth does."""
    found = {_CALLED[call.input]: to_data(call.address) for call in spec.system_calls}
    if spec.requests:
        found[_ASKED[0]] = to_data(ZERO_ADDRESS)
    for source in spec.requests:
        found[_ASKED[source.request_type]] = to_data(source.address)
    return dict(sorted(found.items()))
