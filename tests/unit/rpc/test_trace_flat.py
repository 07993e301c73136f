"""trace_transaction and trace_block: the tree of calls, laid flat."""

from __future__ import annotations

from typing import Any

# calls the address in its data with a gas of 50,000, then destroys itself in favour of the caller
CALLER = "5f5f5f5f5f5f3561c350f1" + "33ff"


async def test_calls_creations_and_destructions_have_their_places(devnet: Any, rpc: Any) -> None:
    init = bytes.fromhex("600d5f8160095f39f3" + CALLER)
    created = await devnet.send(devnet.signed(to=None, data=init))
    await devnet.mine()
    (deployment,) = await devnet.ask("trace_transaction", created)
    assert deployment["type"] == "create"
    assert deployment["action"]["creationMethod"] == "create"
    contract = deployment["result"]["address"]
    assert deployment["result"]["code"] == "0x" + CALLER
    target = rpc.REVERTER.rjust(32, b"\x00")
    sent = await devnet.send(devnet.signed(to=bytes.fromhex(contract[2:]), data=target))
    await devnet.mine()
    outer, inner, destruction = await devnet.ask("trace_transaction", sent)
    assert (outer["subtraces"], outer["traceAddress"], outer["type"]) == (2, [], "call")
    assert (inner["subtraces"], inner["traceAddress"], inner["error"]) == (0, [0], "Reverted")
    assert inner["action"]["callType"] == "call"
    assert inner["action"]["to"] == "0x" + rpc.REVERTER.hex()
    assert "result" not in inner
    assert (destruction["type"], destruction["traceAddress"]) == ("suicide", [1])
    assert destruction["action"]["address"] == contract
    for told in (outer, inner, destruction):
        assert told["transactionHash"] == sent
        assert (told["blockNumber"], told["transactionPosition"]) == (2, 0)
    assert await devnet.ask("trace_block", "0x2") == [outer, inner, destruction]


async def test_what_is_not_there(devnet: Any) -> None:
    assert await devnet.ask("trace_transaction", "0x" + "11" * 32) is None
    assert await devnet.ask("trace_block", "0x99") is None
    assert await devnet.ask("trace_block", "0x0") == []
