"""What a node says about states that it no longer keeps."""

from __future__ import annotations

from typing import Any


async def test_an_old_state_is_refused_in_words_and_blocks_stay(devnet: Any) -> None:
    sent = await devnet.send(devnet.signed(value=5))
    for _ in range(8):
        await devnet.mine()
    await devnet.finalize()
    address = "0x" + "11" * 20
    await devnet.chain.prune(3)
    assert devnet.chain.state_from == 5
    for number in ("0x0", "0x4"):
        for name, parameters in (
            ("eth_getBalance", [address, number]),
            ("eth_call", [{"to": address}, number]),
            ("eth_getProof", [address, [], number]),
            ("eth_getStorageAt", [address, "0x0", number]),
        ):
            error = await devnet.error(name, *parameters)
            assert error["code"] == -32000
            assert error["message"] == (
                f"historical state of block {int(number, 16)} is not available: this node keeps states from block 5 on"
            )
    assert "is not available" in (await devnet.error("debug_traceTransaction", sent))["message"]
    for number in ("0x5", "latest", "finalized"):
        assert await devnet.ask("eth_getBalance", address, number) == "0x0"
    assert (await devnet.ask("eth_getTransactionReceipt", sent))["blockNumber"] == "0x1"
    assert (await devnet.ask("eth_getBlockByNumber", "0x1", True))["transactions"][0]["hash"] == sent


async def test_logs_of_blocks_that_never_came_are_refused_and_not_left_out(devnet: Any, monkeypatch: Any) -> None:
    for _ in range(6):
        await devnet.mine()
    monkeypatch.setattr(devnet.chain, "_blocks_from", 4)
    for first, last in (("0x1", "latest"), ("0x0", "0x3"), ("0x3", "0x3"), ("earliest", "latest")):
        error = await devnet.error("eth_getLogs", {"fromBlock": first, "toBlock": last})
        assert error["message"] == "blocks below 4 are not available: this node joined by a state"
    for first, last in (("0x4", "latest"), ("0x0", "0x0")):
        assert await devnet.ask("eth_getLogs", {"fromBlock": first, "toBlock": last}) == []
