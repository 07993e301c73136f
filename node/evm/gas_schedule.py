"""Every price and limit that a fork can change, in one frozen value. Gas unless said otherwise.

Names follow the Yellow Paper's appendix G and the EIPs. Defaults are those of Paris.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class GasSchedule:
    """Prices; ``dataclasses.replace`` makes the next fork's."""

    # transactions
    tx_base: int = 21_000
    tx_create: int = 32_000
    tx_data_zero: int = 4
    tx_data_nonzero: int = 16
    """EIP-2028."""
    tx_access_list_address: int = 2_400
    tx_access_list_slot: int = 1_900
    """EIP-2930."""
    tx_floor_per_token: int = 0
    """EIP-7623: 10 from Prague; 0 where there is no floor. A zero byte is 1 token, another byte 4."""
    initcode_word: int = 0
    """EIP-3860: 2 from Shanghai."""
    authorization_new_account: int = 25_000
    """EIP-7702: charged in the intrinsic gas for every tuple."""
    authorization_base: int = 12_500
    """EIP-7702: what a tuple on an existing account really costs; the rest is refunded."""
    refund_quotient: int = 5
    """EIP-3529."""
    # memory and copies
    memory_word: int = 3
    memory_quadratic_divisor: int = 512
    copy_word: int = 3
    keccak_word: int = 6
    exp_byte: int = 50
    log_topic: int = 375
    log_data_byte: int = 8
    # state access
    cold_account: int = 2_600
    warm_access: int = 100
    cold_slot: int = 2_100
    """EIP-2929. All three are 0 before it: prices were flat, and stand in the rows of the instruction table."""
    sstore_noop: int = 100
    """A write that changes nothing, or a slot already written in this transaction (EIP-1283, 2200, 2929)."""
    sstore_set: int = 20_000
    sstore_reset: int = 2_900
    """5,000 less the cold slot price."""
    sstore_clear_refund: int = 4_800
    """EIP-3529."""
    sstore_stipend_guard: int = 2_300
    """EIP-2200: SSTORE needs more gas than this left; 0 without that rule."""
    # calls and creation
    call_value: int = 9_000
    call_stipend: int = 2_300
    new_account: int = 25_000
    create: int = 32_000
    code_deposit_byte: int = 200
    self_destruct: int = 5_000
    self_destruct_refund: int = 0
    """24,000 for every destroyed account before EIP-3529."""
