"""Questions of development tools."""

from __future__ import annotations

from typing import Any


async def test_metadata_names_the_network_and_its_head(devnet: Any) -> None:
    before = await devnet.ask("hardhat_metadata")
    await devnet.mine()
    after = await devnet.ask("anvil_metadata")
    latest = await devnet.ask("eth_getBlockByNumber", "latest", False)
    assert (after["latestBlockNumber"], after["latestBlockHash"]) == (int(latest["number"], 16), latest["hash"])
    assert before["instanceId"] == after["instanceId"]
    assert len(before["instanceId"]) == 66
    assert after["chainId"] == int(await devnet.ask("eth_chainId"), 16)
    assert after["clientVersion"] == await devnet.ask("web3_clientVersion")


async def test_node_info_tells_rules_and_fees(devnet: Any) -> None:
    await devnet.mine()
    told = await devnet.ask("anvil_nodeInfo")
    latest = await devnet.ask("eth_getBlockByNumber", "latest", False)
    assert told["currentBlockHash"] == latest["hash"]
    assert told["hardFork"] == "Osaka"
    assert told["environment"]["gasLimit"] == latest["gasLimit"]
    assert told["environment"]["gasPrice"] == await devnet.ask("eth_gasPrice")
