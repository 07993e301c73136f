"""State cheats on one node: orders become transactions; the test mines the blocks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

SOMEBODY = "0x" + "ab" * 20
OTHER = "0x" + "cd" * 20


@pytest.fixture
async def dev(rpc: Any) -> AsyncIterator[Any]:
    made = rpc.make_devnet(dev_keys={rpc.SENDER: rpc.KEY}, evmesh={"engine": "instant", "dev": True})
    yield made
    made.api.close()
    made.backend.runtime.workers.close()


async def ordered(dev: Any, name: str, *params: Any) -> Any:
    """The answer of a cheat, whose block is mined meanwhile."""
    asked = asyncio.create_task(dev.request(name, *params))
    while not asked.done():
        await asyncio.sleep(0.002)
        if dev.pool.status()[0]:
            await dev.mine()
    told = asked.result()
    assert "error" not in told, told
    return told["result"]


async def test_each_cheat_writes_what_it_says(dev: Any) -> None:
    assert await ordered(dev, "anvil_setBalance", SOMEBODY, "0x64") is True
    assert await dev.ask("eth_getBalance", SOMEBODY) == "0x64"
    await ordered(dev, "anvil_addBalance", SOMEBODY, "0x6")
    assert await dev.ask("eth_getBalance", SOMEBODY) == "0x6a"
    await ordered(dev, "hardhat_setNonce", SOMEBODY, "0x7")
    assert await dev.ask("eth_getTransactionCount", SOMEBODY) == "0x7"
    await ordered(dev, "anvil_setCode", SOMEBODY, "0x5f545f5260205ff3")
    word = "0x" + "2a".rjust(64, "0")
    await ordered(dev, "hardhat_setStorageAt", SOMEBODY, "0x0", word)
    assert await dev.ask("eth_call", {"to": SOMEBODY}) == word
    block = await dev.ask("eth_getBlockByNumber", "latest", True)
    (told,) = block["transactions"]
    assert (told["type"], told["gasPrice"]) == ("0x2", "0x0"), "clients know no unsigned transactions"
    traced = await dev.ask("debug_traceBlockByNumber", "latest", {"tracer": "callTracer"})
    assert len(traced) == 1


async def test_the_state_goes_back_to_a_mark_and_the_heights_go_on(dev: Any, rpc: Any) -> None:
    await ordered(dev, "anvil_setBalance", SOMEBODY, "0x64")
    root = (await dev.ask("eth_getBlockByNumber", "latest", False))["stateRoot"]
    mark = await dev.ask("evm_snapshot")
    await dev.send(dev.signed(value=5))
    await ordered(dev, "anvil_setBalance", SOMEBODY, "0x1")
    assert await ordered(dev, "evm_revert", mark) is True
    head = await dev.ask("eth_getBlockByNumber", "latest", False)
    assert head["stateRoot"] == root
    assert int(head["number"], 16) == int(mark, 16) + 2
    assert await dev.ask("eth_getBalance", SOMEBODY) == "0x64"
    assert await dev.ask("eth_getTransactionCount", "0x" + rpc.SENDER.hex()) == "0x0"
    # the same order as before is another transaction, and the same transfer may come again
    await ordered(dev, "anvil_setBalance", SOMEBODY, "0x1")
    dev.nonces.clear()
    await dev.send(dev.signed(value=5))
    await dev.mine()
    assert await dev.ask("eth_getTransactionCount", "0x" + rpc.SENDER.hex()) == "0x1"
    assert await dev.ask("evm_revert", "0xffff") is False


async def test_acting_for_others(dev: Any, rpc: Any) -> None:
    await ordered(dev, "anvil_setBalance", SOMEBODY, "0x64")
    call = {"from": SOMEBODY, "to": OTHER, "value": "0x3"}
    assert (await dev.error("eth_sendTransaction", call))["message"] == "unknown account"
    assert await dev.ask("hardhat_impersonateAccount", SOMEBODY) is True
    sent = await dev.ask("eth_sendTransaction", call)
    await dev.mine()
    receipt = await dev.ask("eth_getTransactionReceipt", sent)
    assert (receipt["from"], receipt["status"], receipt["effectiveGasPrice"]) == (SOMEBODY, "0x1", "0x0")
    assert await dev.ask("eth_getBalance", OTHER) == "0x3"
    assert await dev.ask("eth_getBalance", SOMEBODY) == "0x61", "it pays no fee"
    # contracts, too
    await dev.ask("anvil_impersonateAccount", "0x" + rpc.EMITTER.hex())
    sent = await dev.ask("eth_sendTransaction", {"from": "0x" + rpc.EMITTER.hex(), "to": OTHER})
    await dev.mine()
    assert (await dev.ask("eth_getTransactionReceipt", sent))["status"] == "0x1"
    assert await dev.ask("anvil_stopImpersonatingAccount", SOMEBODY) is True
    assert (await dev.error("eth_sendTransaction", call))["message"] == "unknown account"
    await dev.ask("anvil_autoImpersonateAccount", True)
    assert await dev.ask("eth_sendTransaction", call)


async def test_accounts_whose_keys_the_node_has(dev: Any, rpc: Any) -> None:
    sender = "0x" + rpc.SENDER.hex()
    assert await dev.ask("eth_accounts") == [sender]
    sent = await dev.ask("eth_sendTransaction", {"from": sender, "to": OTHER, "value": "0x9"})
    await dev.mine()
    told = await dev.ask("eth_getTransactionByHash", sent)
    assert told["from"] == sender
    assert int(told["r"], 16) > 1
    signed = await dev.ask("eth_signTransaction", {"from": sender, "to": OTHER})
    assert await dev.ask("eth_sendRawTransaction", signed["raw"]) == signed["tx"]["hash"]
    from eth_account import Account
    from eth_account.messages import encode_defunct

    for signature in (
        await dev.ask("eth_sign", sender, "0x1234"),
        await dev.ask("personal_sign", "0x1234", sender),
    ):
        recovered = Account.recover_message(encode_defunct(hexstr="0x1234"), signature=signature)
        assert recovered.lower() == sender
    assert (await dev.error("eth_sign", OTHER, "0x"))["message"] == "unknown account"


async def test_bad_orders_are_refused_before_anything_is_sent(dev: Any) -> None:
    for name, params, words in (
        ("anvil_setNonce", [SOMEBODY, "0xffffffffffffffff"], "below 2^64"),
        ("anvil_setCode", [SOMEBODY, "0x" + "00" * 24_577], "24577 bytes"),
        ("anvil_setStorageAt", [SOMEBODY, "0x0", "0x01"], "32 bytes, not 1"),
        ("hardhat_mine", [0], "1 to 256"),
        ("hardhat_mine", [1, 5], "own pace"),
        ("evm_setNextBlockTimestamp", [1], "not after"),
    ):
        assert words in (await dev.error(name, *params))["message"], name
    assert dev.pool.status() == (0, 0)


async def test_an_ordinary_network_refuses_all_of_it(devnet: Any, rpc: Any) -> None:
    for name, params in (
        ("anvil_setBalance", [SOMEBODY, "0x1"]),
        ("evm_snapshot", []),
        ("evm_revert", ["0x0"]),
        ("evm_mine", []),
        ("evm_increaseTime", [5]),
        ("hardhat_impersonateAccount", [SOMEBODY]),
    ):
        assert "--dev" in (await devnet.error(name, *params))["message"], name
    assert await devnet.ask("eth_accounts") == []
    from node.types.transactions import UNSIGNED, Transaction

    raw = Transaction(UNSIGNED, 0, 21_000, rpc.OTHER, 1, b"", 0, 0, rpc.CHAIN_ID, origin=rpc.SENDER).encode()
    assert (
        "transaction type not supported" in (await devnet.error("eth_sendRawTransaction", "0x" + raw.hex()))["message"]
    )
