"""The genesis file of a network: geth's ``genesis.json``, forks up to Osaka from the first block on."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any, Final

import orjson

from network.accounts import Account, checksum_address
from network.failures import BadInput
from network.manifest import Manifest
from node.consensus.validator_contract import VALIDATOR_CONTRACT, initial_storage
from node.consensus.validators import Validator, ValidatorSet
from node.primitives.scalars import GWEI, ZERO_ADDRESS, Address

INITIAL_BASE_FEE: Final = GWEI
GENESIS_BYTES_MAX: Final = 256 * 1024 * 1024

# target, maximum and price slope of blobs a block (EIP-4844, 7691)
_BLOB_SCHEDULE: Final = {
    "cancun": {"target": 3, "max": 6, "baseFeeUpdateFraction": 3_338_477},
    "prague": {"target": 6, "max": 9, "baseFeeUpdateFraction": 5_007_716},
    "osaka": {"target": 6, "max": 9, "baseFeeUpdateFraction": 5_007_716},
}
_BLOCK_FORKS: Final = (
    "homesteadBlock eip150Block eip155Block eip158Block byzantiumBlock constantinopleBlock petersburgBlock "
    "istanbulBlock berlinBlock londonBlock mergeNetsplitBlock"
)
_TIME_FORKS: Final = ("shanghaiTime", "cancunTime", "pragueTime", "osakaTime")


@lru_cache(maxsize=1)
def predeployed() -> dict[str, dict[str, Any]]:
    """System contracts that the rules of Osaka call, and the deployer that tools expect (address -> account)."""
    text = resources.files("network.contracts").joinpath("predeployed.json").read_text("utf-8")
    accounts: dict[str, dict[str, Any]] = json.loads(text)
    return {
        address: {key: value for key, value in account.items() if key != "name"}
        for address, account in accounts.items()
    }


def validator_account(owner: Address, validators: Sequence[tuple[Address, int]]) -> dict[str, Any]:
    """The validator contract as a genesis account: ``owner`` may change the set by transaction."""
    text = resources.files("network.contracts").joinpath("Validators.json").read_text("utf-8")
    members = ValidatorSet(Validator(address, weight) for address, weight in validators)
    storage = initial_storage(owner, members)
    return {
        "balance": "0x0",
        "nonce": "0x1",
        "code": json.loads(text)["deployedBytecode"],
        "storage": {f"0x{slot:064x}": f"0x{value:064x}" for slot, value in storage.items() if value},
    }


def build_genesis(
    manifest: Manifest, accounts: Sequence[Account], validators: Sequence[tuple[Address, int]], timestamp: int
) -> dict[str, Any]:
    """A genesis file: funded accounts, system contracts, validators ``(address, weight)``. Seconds since 1970."""
    alloc: dict[str, dict[str, Any]] = dict(predeployed())
    funded = [(account.address, manifest.balance) for account in accounts] + list(manifest.fund)
    for address, wei in funded:
        key = checksum_address(address)
        if key in predeployed() or address == VALIDATOR_CONTRACT:
            raise BadInput(f"{key} is a system contract and cannot be funded")
        alloc[key] = {"balance": hex(wei)}
    if manifest.consensus == "bft":
        owner = accounts[0].address if accounts else ZERO_ADDRESS
        alloc[checksum_address(VALIDATOR_CONTRACT)] = validator_account(owner, validators)
    return {
        "config": {
            "chainId": manifest.chain_id,
            **dict.fromkeys(_BLOCK_FORKS.split(), 0),
            "terminalTotalDifficulty": 0,
            **dict.fromkeys(_TIME_FORKS, 0),
            "blobSchedule": _BLOB_SCHEDULE,
            "evmesh": _consensus(manifest, validators),
        },
        "nonce": "0x0",
        "timestamp": hex(timestamp),
        "extraData": "0x",
        "gasLimit": hex(manifest.gas_limit),
        "difficulty": "0x0",
        "mixHash": "0x" + "00" * 32,
        "coinbase": "0x" + "00" * 20,
        "baseFeePerGas": hex(INITIAL_BASE_FEE),
        "blobGasUsed": "0x0",
        "excessBlobGas": "0x0",
        "alloc": alloc,
    }


def adopt_genesis(
    path: Path, manifest: Manifest, accounts: Sequence[Account], validators: Sequence[tuple[Address, int]]
) -> dict[str, Any]:
    """Somebody's geth genesis file with our validators in it; header and accounts stay as they are.

    Accounts are added only where they were asked for (``--accounts``, ``--balance`` or ``--fund``): a file that
    is taken as it is keeps its state root and hash. Raises BadInput.
    """
    document = read_genesis(path)
    config = document["config"]
    if "chain_id" in manifest.given and int(config["chainId"]) != manifest.chain_id:
        raise BadInput(
            f"{path} is for chain {config['chainId']}, --chain-id says {manifest.chain_id}", "leave --chain-id away"
        )
    if "evmesh" in config:
        raise BadInput(
            f"{path} names its validators already (config.evmesh), whose keys are not ours",
            "remove config.evmesh from it, or continue that network with: evmesh up --resume",
        )
    alloc = dict(document.get("alloc", {}))
    present = {key.lower().removeprefix("0x") for key in alloc}
    asked = {"accounts", "balance", "mnemonic"} & manifest.given
    for address, wei in [*((one.address, manifest.balance) for one in accounts if asked), *manifest.fund]:
        if address.hex() in present:
            raise BadInput(f"{checksum_address(address)} is in {path} already", "fund it there, or leave it away here")
        alloc[checksum_address(address)] = {"balance": hex(wei)}
    return document | {"config": config | {"evmesh": _consensus(manifest, validators)}, "alloc": alloc}


def read_genesis(path: Path) -> dict[str, Any]:
    """A genesis file's JSON, its outline checked (the node checks the rest). Raises BadInput."""
    try:
        if path.stat().st_size > GENESIS_BYTES_MAX:
            raise BadInput(f"{path} is larger than {GENESIS_BYTES_MAX} bytes")
        text = path.read_text("utf-8")
        orjson.loads(text)  # bounds nesting; json reads numbers of any size
        document = json.loads(text)
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{path} is not JSON: {error}") from None
    if not isinstance(document, dict) or not isinstance(document.get("config"), dict):
        raise BadInput(f'{path} is not a geth genesis file: it has no "config" object')
    if not isinstance(document.get("alloc", {}), dict):
        raise BadInput(f'{path}: "alloc" is not an object')
    chain_id = document["config"].get("chainId")
    if isinstance(chain_id, bool) or not isinstance(chain_id, int) or chain_id < 1:
        raise BadInput(f"{path}: config.chainId is not a positive number")
    return document


def number_of(value: object, default: int) -> int:
    """A genesis field, hex or decimal; ``default`` where it is absent or no number (the node names the mistake)."""
    try:
        return value if isinstance(value, int) else int(str(value), 0)
    except ValueError:
        return default


def _consensus(manifest: Manifest, validators: Sequence[tuple[Address, int]]) -> Mapping[str, Any]:
    pace = (
        {"slotMs": manifest.block_time, "slotsPerEpoch": manifest.slots_per_epoch}
        if manifest.consensus == "pos"
        else {"blockTimeMs": manifest.block_time}
    )
    return {
        "engine": manifest.consensus,
        **pace,
        **({"dev": True} if manifest.dev else {}),
        "validators": [{"address": checksum_address(address), "weight": weight} for address, weight in validators],
    }
