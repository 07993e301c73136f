"""What ``evmesh up`` prints first: anvil's headings in anvil's order, because tools read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from network.accounts import ACCOUNT_PATH, DEFAULT_MNEMONIC, Account
from network.amounts import format_ether
from network.cluster.run_directory import NetworkFile
from node.primitives.hexadecimal import to_data
from node.primitives.scalars import Address

_RULE = "=================="


def banner(network: NetworkFile, accounts: Sequence[Account], balances: Mapping[Address, int]) -> str:
    """Everything between the title and the node table."""
    lines = ["Available Accounts", _RULE, ""]
    for account in accounts:
        ether = format_ether(balances.get(account.address, 0))
        lines.append(f"({account.index}) {account.checksummed} ({ether} ETH)")
    lines += ["", "Private Keys", _RULE, ""]
    lines += [f"({account.index}) {to_data(account.private_key)}" for account in accounts]
    lines += ["", "Wallet", _RULE, f"Mnemonic:          {network.mnemonic}", f"Derivation path:   {ACCOUNT_PATH}/", ""]
    if network.mnemonic == DEFAULT_MNEMONIC:
        lines += ["WARNING: these keys are public. Never send real funds to them.", ""]
    for heading, value in (
        ("Chain ID", network.chain_id),
        ("Base Fee", network.base_fee),
        ("Gas Limit", network.gas_limit),
        ("Genesis Timestamp", network.genesis_timestamp),
        ("Genesis Number", 0),
    ):
        lines += [heading, _RULE, "", str(value), ""]
    return "\n".join(lines)
