"""What a transaction costs before its first instruction: intrinsic gas and the calldata floor.

EIP-2028 (data), 2930 (access list), 3860 (init code), 7702 (authorizations), 7623 (floor).
"""

from __future__ import annotations

from node.evm.spec import Spec
from node.types.transactions import Transaction


def intrinsic_gas(tx: Transaction, spec: Spec) -> tuple[int, int]:
    """(intrinsic gas, least gas that the transaction pays at its end). The floor is 0 where the fork has none."""
    gas = spec.gas
    data = tx.data
    zeros = data.count(0)
    others = len(data) - zeros
    cost = gas.tx_base + zeros * gas.tx_data_zero + others * gas.tx_data_nonzero
    if tx.to is None:
        cost += gas.tx_create + gas.initcode_word * ((len(data) + 31) // 32)
    if tx.access_list:
        slots = sum(len(entry[1]) for entry in tx.access_list)
        cost += len(tx.access_list) * gas.tx_access_list_address + slots * gas.tx_access_list_slot
    if tx.authorization_list:
        cost += len(tx.authorization_list) * gas.authorization_new_account
    floor = 0
    if gas.tx_floor_per_token:
        floor = gas.tx_base + (zeros + 4 * others) * gas.tx_floor_per_token
    return cost, floor
