"""State cheats under the names that anvil and hardhat gave them. Each is an order that all nodes carry out.

    anvil_setBalance … ─▶ DevDesk.order ─▶ transaction ─▶ a block ─▶ answer

A cheat takes effect in the next block, and its answer comes then. Refused where the network was started without --dev.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from node.primitives.hexadecimal import to_quantity
from node.primitives.scalars import U64_MAX, U256_MAX, Address
from node.rpc.api import Api
from node.rpc.errors import invalid_params, refused
from node.rpc.eth_fees import Count
from node.rpc.methods import MethodTable
from node.rpc.parameters import StorageKey, count
from node.types.operations import (
    CODE_BYTES_MAX,
    ORDERS,
    TIME_SLOT,
    RestoreState,
    SetBalance,
    SetCode,
    SetNonce,
    SetStorage,
)

METHODS: Final = MethodTable({Count: lambda value: Count(count(value))})

BLOCKS_MAX: Final = 256
"""That one call may wait for."""
ONE: Final = Count(1)
NO_SECONDS: Final = Count(0)


def method(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register under every one of these names."""

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        for name in names:
            METHODS.method(name)(function)
        return function

    return register


@method("anvil_setBalance", "hardhat_setBalance")
async def set_balance(api: Api, address: Address, balance: int) -> bool:
    """Wei."""
    await api.dev.order(SetBalance(address, balance))
    return True


@method("anvil_setNonce", "hardhat_setNonce")
async def set_nonce(api: Api, address: Address, nonce: int) -> bool:
    """The number of the account's next transaction."""
    if nonce > U64_MAX - 1:
        raise invalid_params("invalid argument 1: a nonce is below 2^64 - 1")
    await api.dev.order(SetNonce(address, nonce))
    return True


@method("anvil_setCode", "hardhat_setCode")
async def set_code(api: Api, address: Address, code: bytes) -> bool:
    """Empty code makes a contract an ordinary account."""
    if len(code) > CODE_BYTES_MAX:
        raise invalid_params(f"invalid argument 1: {len(code)} bytes of code, at most {CODE_BYTES_MAX}")
    await api.dev.order(SetCode(address, code))
    return True


@method("anvil_setStorageAt", "hardhat_setStorageAt")
async def set_storage_at(api: Api, address: Address, key: StorageKey, value: bytes) -> bool:
    """One slot; the value is a word of 32 bytes."""
    if len(value) != 32:
        raise invalid_params(f"invalid argument 2: a slot's value has 32 bytes, not {len(value)}")
    await api.dev.order(SetStorage(address, key.slot, int.from_bytes(value, "big")))
    return True


@method("anvil_addBalance", "hardhat_addBalance")
async def add_balance(api: Api, address: Address, wei: int) -> bool:
    """On top of what the account has at the head."""
    chain = api.backend.chain
    account = chain.view_at(chain.head).account(address)
    balance = (0 if account is None else account.balance) + wei
    if balance > U256_MAX:
        raise invalid_params("invalid argument 1: the balance would be above 2^256 - 1")
    await api.dev.order(SetBalance(address, balance))
    return True


# --- acting for others --------------------------------------------------------------------------


@method("anvil_impersonateAccount", "hardhat_impersonateAccount")
def impersonate(api: Api, address: Address) -> bool:
    """From now on eth_sendTransaction takes this sender at this node, without a signature."""
    api.dev.check()
    api.dev.impersonated[address] = None
    return True


@method("anvil_stopImpersonatingAccount", "hardhat_stopImpersonatingAccount")
def stop_impersonating(api: Api, address: Address) -> bool:
    """Not any more; whether it was so."""
    api.dev.check()
    was = address in api.dev.impersonated
    api.dev.impersonated.pop(address, None)
    return was


@method("anvil_autoImpersonateAccount", "hardhat_autoImpersonateAccount")
def impersonate_all(api: Api, enabled: bool) -> bool:
    """Take every sender."""
    api.dev.check()
    api.dev.acts_for_anybody = enabled
    return True


# --- blocks and time ----------------------------------------------------------------------------


@method("anvil_mine", "hardhat_mine")
async def mine_many(api: Api, blocks: Count = ONE, interval: Count = NO_SECONDS) -> bool:
    """Wait for so many more blocks. They come at the network's pace; an interval between them cannot be asked for."""
    if not 0 < blocks <= BLOCKS_MAX:
        raise invalid_params(f"invalid argument 0: 1 to {BLOCKS_MAX} blocks can be waited for")
    if interval > 1:
        raise invalid_params("invalid argument 1: blocks come at the network's own pace")
    for _ in range(blocks):
        await api.dev.order()
    return True


@method("evm_mine")
async def mine(api: Api) -> str:
    """Wait for a block; "0x0", as ganache answered."""
    await api.dev.order()
    return "0x0"


@method("evm_snapshot", "anvil_snapshot")
def snapshot(api: Api) -> str:
    """A mark to go back to with evm_revert, at any node: the head's height."""
    api.dev.check()
    return to_quantity(api.backend.chain.head.number)


@method("evm_revert", "anvil_revert")
async def revert(api: Api, mark: int) -> bool:
    """The state becomes that of the mark again, in a new block: heights and history go on. False for no such mark."""
    api.dev.check()
    if mark > api.backend.chain.head.number:
        return False
    await api.dev.order(RestoreState(mark))
    return True


def _ahead(api: Api) -> int:
    chain = api.backend.chain
    return chain.view_at(chain.head).slot(ORDERS, TIME_SLOT)


async def _set_ahead(api: Api, seconds: int) -> None:
    api.dev.check()
    if api.backend.consensus.inspect().get("engine") == "pos":
        raise refused(
            "under pos the time of blocks follows from their slots and cannot be moved; "
            "start the network with --consensus bft, or instant"
        )
    if seconds < 0:
        raise refused("the chain's time cannot go back")
    if seconds >= 2**40:
        raise refused("too far ahead")
    await api.dev.order(SetStorage(ORDERS, TIME_SLOT, seconds))


@method("evm_increaseTime", "anvil_increaseTime")
async def increase_time(api: Api, seconds: Count) -> str:
    """Blocks from the one after the next on are so much later; answers with the sum of all increases."""
    ahead = _ahead(api) + seconds
    await _set_ahead(api, ahead)
    return to_quantity(ahead)


@method("evm_setNextBlockTimestamp", "anvil_setNextBlockTimestamp", "evm_setTime", "anvil_setTime")
async def set_next_timestamp(api: Api, timestamp: Count) -> str:
    """The chain's clock jumps to this second; blocks that follow have it or, as time goes on, a later one."""
    if timestamp <= api.backend.chain.head.timestamp:
        raise refused(f"timestamp {timestamp} is not after the head's, {api.backend.chain.head.timestamp}")
    ahead = timestamp - api.backend.runtime.clock.now_ms() // 1000
    await _set_ahead(api, ahead)
    return to_quantity(timestamp)
