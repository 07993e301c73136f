"""eth_sendRawTransactionSync: the receipt with the answer, or the hash with the error; eth_capabilities."""

import asyncio

import pytest

from tests.unit.rpc.conftest import Devnet


async def test_the_receipt_comes_with_the_block(devnet: Devnet) -> None:
    tx = devnet.signed()
    taken = asyncio.Event()
    devnet.pool.on_added.append(lambda added, local: taken.set())
    waiting = asyncio.ensure_future(devnet.ask("eth_sendRawTransactionSync", "0x" + tx.encode().hex()))
    await taken.wait()
    assert not waiting.done()
    await devnet.mine()
    receipt = await waiting
    assert receipt["transactionHash"] == "0x" + tx.hash.hex()
    assert receipt["status"] == "0x1"
    assert receipt == await devnet.ask("eth_getTransactionReceipt", "0x" + tx.hash.hex())


async def test_a_timeout_names_the_hash_and_leaves_the_transaction(devnet: Devnet) -> None:
    tx = devnet.signed()
    error = await devnet.error("eth_sendRawTransactionSync", "0x" + tx.encode().hex(), "0x1")
    assert error["code"] == 4
    assert error["data"] == "0x" + tx.hash.hex()
    assert tx.hash in devnet.pool


@pytest.mark.parametrize("raw", ["0x", "0x02", "0xzz"])
async def test_what_cannot_be_sent_is_refused_at_once(devnet: Devnet, raw: str) -> None:
    error = await devnet.error("eth_sendRawTransactionSync", raw)
    assert error["code"] in (-32000, -32602)


async def test_capabilities_tell_the_head(devnet: Devnet) -> None:
    await devnet.mine()
    told = await devnet.ask("eth_capabilities")
    assert told["head"]["number"] == "0x1"
    assert told["state"] == {"disabled": False, "oldestBlock": "0x0"}
