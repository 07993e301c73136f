"""What words on the command line mean: accounts, targets, nodes, contracts and their functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from network.accounts import Account, checksum_address, parse_address
from network.client import NodeClient
from network.cluster.observer import paused_nodes
from network.cluster.run_directory import NetworkFile, RunDirectory
from network.failures import BadInput, Failure
from network.load.contracts import Function, find_function, functions_of, parse_signature
from network.provision import funded_accounts
from node.crypto.secp256k1 import ORDER, address_of_private_key
from node.primitives.scalars import Address


def account_of(network: NetworkFile, text: str, key_file: Path | None = None) -> Account:
    """The signer: an account's index or address, or a key file. Raises BadInput."""
    if key_file is not None:
        return _account_from_file(key_file)
    accounts = funded_accounts(network)
    if text.isascii() and text.isdigit():
        if int(text) < len(accounts):
            return accounts[int(text)]
        raise BadInput(
            f"there is no account {text}", f"accounts are 0 to {len(accounts) - 1}; evmesh accounts lists them"
        )
    address = parse_address(text)
    for account in accounts:
        if account.address == address:
            return account
    raise BadInput(
        f"{text} is not one of this network's accounts, so its key is not known",
        "use an index from evmesh accounts, or give its key with --key-file",
    )


def _account_from_file(path: Path) -> Account:
    try:
        key = bytes.fromhex(path.read_text("ascii").strip().removeprefix("0x"))
    except (OSError, ValueError):  # the content is a secret: never quoted
        raise BadInput(f"{path} does not hold a private key", "it must hold 64 hex digits") from None
    if len(key) != 32 or not 0 < int.from_bytes(key, "big") < ORDER:
        raise BadInput(f"{path} does not hold a private key", "it must hold 64 hex digits")
    return Account(-1, address_of_private_key(key), key)


def target_of(run: RunDirectory, network: NetworkFile, text: str) -> Address:
    """An address: an account's index, 0x hex, or a deployed contract's name. Raises BadInput."""
    if text.isascii() and text.isdigit() and len(text) < 10:
        return account_of(network, text).address
    contract = run.contracts().get(text)
    if contract is not None:
        return parse_address(str(contract["address"]))
    if not text.startswith("0x"):
        raise BadInput(
            f"{text!r} is no account index, address or deployed contract",
            f"deployed: {', '.join(run.contracts()) or 'none'}; accounts: evmesh accounts",
        )
    return parse_address(text)


def client_of(run: RunDirectory, network: NetworkFile, name: str | None) -> NodeClient:
    """A node's client: the named one, else the first that runs. Raises BadInput, and Failure for a paused node."""
    running = run.running()
    paused = paused_nodes(run, running)
    if name is not None:
        node = run.node(name)
        if name in paused:
            raise Failure(f"{name} is paused and answers nobody", f"let it go on: evmesh resume {name}")
        return NodeClient(node.url, node.name)
    awake = [name for name in running if name not in paused]
    node = next((node for node in network.nodes if node.name in awake), network.nodes[0])
    return NodeClient(node.url, node.name)


@dataclass(frozen=True, slots=True)
class FunctionCall:
    """A function at an address, ready to be called."""

    label: str
    address: Address
    function: Function
    data: bytes
    abi: Sequence[dict[str, Any]]


def function_call(run: RunDirectory, text: str, arguments: Sequence[str]) -> FunctionCall:
    """``Counter.increment``, or ``0xADDRESS.balanceOf(address)(uint256)``, with its arguments. Raises BadInput."""
    contract, separator, wanted = text.partition(".")
    if not separator or not wanted:
        raise BadInput(
            f"{text!r} does not name a function", "write Contract.function, or 0xADDRESS.name(types)(result types)"
        )
    if contract.startswith("0x"):
        address = parse_address(contract)
        function = parse_signature(wanted)
        return FunctionCall(
            f"{checksum_address(address)}.{function.name}",
            address,
            function,
            function.call_data_from_text(arguments),
            (),
        )
    deployed = run.contracts().get(contract)
    if deployed is None:
        known = ", ".join(run.contracts())
        raise BadInput(
            f"no contract called {contract} was deployed on network {run.name}",
            f"deployed: {known}" if known else f"deploy it first: evmesh deploy {contract}",
        )
    function = find_function(functions_of(deployed["abi"]), wanted, len(arguments), contract)
    return FunctionCall(
        f"{contract}.{function.name}",
        parse_address(str(deployed["address"])),
        function,
        function.call_data_from_text(arguments),
        deployed["abi"],
    )
