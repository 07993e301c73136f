"""The pending block: what the pool would put on the head, made when somebody asks for it."""

from __future__ import annotations

from typing import Any

import pytest


def n(quantity: str) -> int:
    return int(quantity, 16)


async def test_code_that_waits_in_the_pool_can_be_called_and_estimated(devnet: Any, rpc: Any) -> None:
    await devnet.send(devnet.signed(to=None, data=bytes.fromhex("5f545f5260205ff3".rjust(16, "0")), gas_limit=200_000))
    deployment = devnet.signed(to=None, data=_initcode(rpc.CODES[rpc.EMITTER]), gas_limit=300_000)
    await devnet.send(deployment)
    from node.evm.addresses import create_address

    contract = "0x" + create_address(deployment.sender, deployment.nonce).hex()
    word = "0x" + "07".rjust(64, "0")
    call = {"from": "0x" + rpc.SENDER.hex(), "to": contract, "data": word}
    assert await devnet.ask("eth_call", call, "latest") == "0x"
    assert await devnet.ask("eth_call", call, "pending") == word
    assert await devnet.ask("eth_getCode", contract, "latest") == "0x"
    assert await devnet.ask("eth_getCode", contract, "pending") == "0x" + rpc.CODES[rpc.EMITTER].hex()
    assert n(await devnet.ask("eth_estimateGas", call, "pending")) > 40_000
    assert n(await devnet.ask("eth_estimateGas", call)) > 40_000
    assert n(await devnet.ask("eth_estimateGas", call, "latest")) < 22_000
    await devnet.send(devnet.signed(to=bytes.fromhex(contract[2:]), data=bytes.fromhex(word[2:])))
    assert await devnet.ask("eth_getStorageAt", contract, "0x0", "pending") == word
    assert await devnet.ask("eth_getStorageAt", contract, "0x0", "latest") == "0x" + "00" * 32


async def test_the_pending_block_has_what_the_pool_would_put_into_it(devnet: Any, rpc: Any) -> None:
    sent = [await devnet.send(devnet.signed(value=5)) for _ in range(3)]
    await devnet.send(devnet.signed(nonce=9))
    block = await devnet.ask("eth_getBlockByNumber", "pending", False)
    assert block["transactions"] == sent
    assert await devnet.ask("eth_getBlockTransactionCountByNumber", "pending") == "0x3"
    other = "0x" + rpc.OTHER.hex()
    before = n(await devnet.ask("eth_getBalance", other, "latest"))
    assert n(await devnet.ask("eth_getBalance", other, "pending")) == before + 15
    await devnet.mine()
    # mined: nothing waits but the gapped one
    assert (await devnet.ask("eth_getBlockByNumber", "pending", False))["transactions"] == []
    assert n(await devnet.ask("eth_getBalance", other, "pending")) == before + 15
    mined = await devnet.ask("eth_getBlockByNumber", "latest", False)
    assert mined["transactions"] == sent


async def test_it_is_made_once_for_one_head_and_pool(devnet: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from node.rpc import pending

    built: list[int] = []
    make = pending.build_block
    monkeypatch.setattr(pending, "build_block", lambda *arguments: built.append(1) or make(*arguments))
    for _ in range(2):
        await devnet.ask("eth_getBlockByNumber", "pending", False)
    assert built == [], "an empty pool needs no building"
    await devnet.send(devnet.signed())
    for _ in range(3):
        await devnet.ask("eth_getBlockByNumber", "pending", False)
        await devnet.ask("eth_getBlockByNumber", "latest", False)
    assert len(built) == 1
    devnet.clock.offset_ms += 10_000
    await devnet.send(devnet.signed())
    assert len((await devnet.ask("eth_getBlockByNumber", "pending", False))["transactions"]) == 2
    assert len(built) == 2


async def test_an_expensive_one_is_served_a_little_longer(devnet: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from node.rpc import pending

    make = pending.build_block

    def slow(*arguments: Any) -> Any:
        built = make(*arguments)
        devnet.clock.offset_ms += 1000
        return built

    monkeypatch.setattr(pending, "build_block", slow)
    counts = []
    for wait_ms in (0, 0, 1000, 2000):
        devnet.clock.offset_ms += wait_ms
        await devnet.send(devnet.signed())
        counts.append(len((await devnet.ask("eth_getBlockByNumber", "pending", False))["transactions"]))
    assert counts[0] == counts[1] == 1
    assert counts[3] == 4


async def test_proofs_and_simulations_on_pending_stand_on_what_is_stored(devnet: Any, rpc: Any) -> None:
    await devnet.send(devnet.signed(value=5))
    other = "0x" + rpc.OTHER.hex()
    stored = await devnet.ask("eth_getProof", other, [], "latest")
    assert await devnet.ask("eth_getProof", other, [], "pending") == stored
    simulated = await devnet.ask("eth_simulateV1", {"blockStateCalls": [{"calls": [{"to": other}]}]}, "pending")
    assert simulated[0]["calls"][0]["status"] == "0x1"


def _initcode(code: bytes) -> bytes:
    """Code that deploys ``code``: copy it to memory and return it."""
    return bytes((0x60, len(code), 0x80, 0x60, 0x0A, 0x5F, 0x39, 0x5F, 0xF3, 0x00)) + code
