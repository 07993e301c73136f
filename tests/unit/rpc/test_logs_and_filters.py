"""eth_getLogs and the filters that are polled."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from node.rpc.backend import RpcLimits


def word(value: int) -> str:
    return "0x" + value.to_bytes(32, "big").hex()


async def emit(devnet: Any, rpc: Any, *values: int) -> None:
    for value in values:
        await devnet.send(devnet.signed(to=rpc.EMITTER, data=value.to_bytes(32, "big")))
    await devnet.mine()


@pytest.fixture
async def logged(devnet: Any, rpc: Any) -> Any:
    """Logs 1, 2 in block 1, none in block 2, log 3 in block 3."""
    await emit(devnet, rpc, 1, 2)
    await devnet.mine()
    await emit(devnet, rpc, 3)
    return devnet


def values(logs: list[Any]) -> list[int]:
    return [int(log["data"], 16) for log in logs]


async def test_ranges(logged: Any) -> None:
    everything = await logged.ask("eth_getLogs", {"fromBlock": "earliest", "toBlock": "latest"})
    assert values(everything) == [1, 2, 3]
    assert [log["logIndex"] for log in everything] == ["0x0", "0x1", "0x0"]
    assert [log["removed"] for log in everything] == [False] * 3
    receipts = await logged.ask("eth_getBlockReceipts", "0x1")
    assert everything[:2] == [log for receipt in receipts for log in receipt["logs"]]
    assert values(await logged.ask("eth_getLogs", {})) == [3]  # latest where nothing is said
    assert values(await logged.ask("eth_getLogs", {"fromBlock": "0x1", "toBlock": "0x2"})) == [1, 2]
    assert values(await logged.ask("eth_getLogs", {"fromBlock": "0x1", "toBlock": "pending"})) == [1, 2, 3]
    block_hash = everything[0]["blockHash"]
    assert values(await logged.ask("eth_getLogs", {"blockHash": block_hash})) == [1, 2]


async def test_addresses_and_topics(logged: Any, rpc: Any) -> None:
    emitter, other, topic = "0x" + rpc.EMITTER.hex(), "0x" + "99" * 20, "0x" + rpc.TOPIC.hex()
    whole = {"fromBlock": "0x0", "toBlock": "latest"}
    for form, expected in [
        ({"address": emitter}, [1, 2, 3]),
        ({"address": [emitter, other]}, [1, 2, 3]),
        ({"address": other}, []),
        ({"address": []}, [1, 2, 3]),
        ({"address": None, "topics": None}, [1, 2, 3]),
        ({"topics": []}, [1, 2, 3]),
        ({"topics": [topic]}, [1, 2, 3]),
        ({"topics": [[topic, word(9)], word(2)]}, [2]),
        ({"topics": [None, [word(1), word(3)]]}, [1, 3]),
        ({"topics": [None, [word(1), None]]}, [1, 2, 3]),
        ({"topics": [word(1)]}, []),
        ({"topics": [None, None, None]}, []),
    ]:
        assert values(await logged.ask("eth_getLogs", {**whole, **form})) == expected, form


@pytest.mark.parametrize(
    ("criteria", "code", "words"),
    [
        ({"fromBlock": "0x1", "toBlock": "0x9"}, -32602, "block range extends beyond current head block"),
        ({"fromBlock": "0x3", "toBlock": "0x1"}, -32602, "invalid block range params"),
        ({"fromBlock": "0x1", "blockHash": "0x" + "ab" * 32}, -32602, "cannot specify both BlockHash and FromBlock"),
        ({"blockHash": "0x" + "ab" * 32}, -32000, "unknown block"),
        ({"address": "0x12"}, -32602, "hex string has length 2, want 40"),
        ({"topics": [[["0x"]]]}, -32602, ""),
        ({"topics": [None] * 5}, -32602, "exceed max topics"),
        ({"address": ["0x" + "99" * 20] * 1_001}, -32602, "exceed max addresses"),
        ({"fromBlock": 1}, -32602, ""),
        ([], -32602, "expected an object"),
    ],
)
async def test_errors(logged: Any, criteria: Any, code: int, words: str) -> None:
    error = await logged.error("eth_getLogs", criteria)
    assert error["code"] == code
    assert words in error["message"]


async def test_bounds_of_one_answer(rpc: Any) -> None:
    limited = rpc.make_devnet(replace(RpcLimits(), logs_max=2, log_blocks_max=3, log_bytes_max=40))
    await emit(limited, rpc, 1)
    await emit(limited, rpc, 2)
    await emit(limited, rpc, 3)
    error = await limited.error("eth_getLogs", {"fromBlock": "0x0"})
    assert error["code"] == -32005
    assert "block range" in error["message"]
    assert (await limited.error("eth_getLogs", {"fromBlock": "0x1"}))["message"] == "query returned more than 2 results"
    assert "bytes of log data" in (await limited.error("eth_getLogs", {"fromBlock": "0x2"}))["message"]
    assert values(await limited.ask("eth_getLogs", {})) == [3]
    limited.backend.runtime.workers.close()


async def test_filters_tell_what_is_new(logged: Any, rpc: Any) -> None:
    blocks = await logged.ask("eth_newBlockFilter")
    pending = await logged.ask("eth_newPendingTransactionFilter")
    whole = await logged.ask("eth_newPendingTransactionFilter", True)
    news = await logged.ask("eth_newFilter", {"topics": [None, word(5)]})
    history = await logged.ask("eth_newFilter", {"fromBlock": "0x0", "toBlock": "latest"})
    assert len({blocks, pending, whole, news, history}) == 5
    for each in (blocks, pending, whole, news, history):
        assert await logged.ask("eth_getFilterChanges", each) == []
    await emit(logged, rpc, 4, 5)
    head = logged.chain.head
    assert await logged.ask("eth_getFilterChanges", blocks) == ["0x" + head.hash.hex()]
    sent = await logged.ask("eth_getFilterChanges", pending)
    assert sent == [tx["transactionHash"] for tx in await logged.ask("eth_getBlockReceipts", "latest")]
    assert [tx["hash"] for tx in await logged.ask("eth_getFilterChanges", whole)] == sent
    assert values(await logged.ask("eth_getFilterChanges", news)) == [5]
    assert values(await logged.ask("eth_getFilterChanges", history)) == [4, 5]
    assert values(await logged.ask("eth_getFilterLogs", history)) == [1, 2, 3, 4, 5]
    for each in (blocks, pending, news):
        assert await logged.ask("eth_getFilterChanges", each) == []
        assert await logged.ask("eth_uninstallFilter", each) is True
        assert await logged.ask("eth_uninstallFilter", each) is False
        assert (await logged.error("eth_getFilterChanges", each))["message"] == "filter not found"
    assert await logged.ask("eth_uninstallFilter", "0xdeadbeef") is False
    assert (await logged.error("eth_getFilterLogs", whole))["message"] == "filter not found"
    assert (await logged.error("eth_newFilter", {"fromBlock": "0x3", "toBlock": "0x1"}))["code"] == -32602


async def test_a_reorganisation_takes_logs_back(logged: Any, rpc: Any) -> None:
    news = await logged.ask("eth_newFilter", {})
    blocks = await logged.ask("eth_newBlockFilter")
    fork_point = logged.chain.head.hash
    await emit(logged, rpc, 7)
    old = logged.chain.head
    # the other branch: an empty block with another hash, then the transaction again
    await logged.mine(parent=fork_point, extra=b"other")
    await logged.mine(parent=logged.chain.head.hash)
    changes = await logged.ask("eth_getFilterChanges", news)
    assert [(int(log["data"], 16), log["removed"]) for log in changes] == [(7, False), (7, True), (7, False)]
    assert changes[0]["blockHash"] == changes[1]["blockHash"] == "0x" + old.hash.hex() != changes[2]["blockHash"]
    assert len(await logged.ask("eth_getFilterChanges", blocks)) == 3
    assert (await logged.ask("eth_getLogs", {"blockHash": "0x" + old.hash.hex()})) != []
    refusal = await logged.error(
        "eth_getBalance", "0x" + "99" * 20, {"blockHash": "0x" + old.hash.hex(), "requireCanonical": True}
    )
    assert refusal["message"] == "hash is not currently canonical"
    assert await logged.ask("eth_getBalance", "0x" + "99" * 20, {"blockHash": "0x" + old.hash.hex()}) == "0x0"


async def test_filters_are_bounded_and_expire(rpc: Any) -> None:
    limited = rpc.make_devnet(replace(RpcLimits(), filters_max=3, filter_idle_ms=1_000))
    made = [await limited.ask("eth_newBlockFilter") for _ in range(3)]
    assert (await limited.error("eth_newBlockFilter"))["code"] == -32005
    limited.clock.offset_ms += 900
    await limited.ask("eth_getFilterChanges", made[0])
    limited.clock.offset_ms += 900
    await limited.ask("eth_newBlockFilter")  # the two that nobody polled are gone
    assert await limited.ask("eth_getFilterChanges", made[0]) == []
    assert (await limited.error("eth_getFilterChanges", made[1]))["message"] == "filter not found"
    assert len(limited.api.filters) == 2
    limited.backend.runtime.workers.close()


async def test_a_filter_that_missed_too_much_is_gone(devnet: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from node.rpc import filters

    monkeypatch.setattr(filters, "BLOCKS_KEPT", 2)
    small = filters.Filters(devnet.chain, devnet.pool, devnet.backend.runtime, devnet.api.lane, RpcLimits())
    key = small.new_block_filter()
    await devnet.mine()
    await devnet.mine()
    assert len(await small.changes(key)) == 2
    for _ in range(3):
        await devnet.mine()
    with pytest.raises(Exception, match="filter not found"):
        await small.changes(key)
    assert len(small) == 0
    small.close()


async def test_what_every_filter_has_read_is_let_go(devnet: Any, rpc: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from node.rpc import filters

    monkeypatch.setattr(filters, "TRIM_BLOCKS", 1)
    monkeypatch.setattr(filters, "TRIM_TRANSACTIONS", 1)
    monkeypatch.setattr(filters, "INLINE_TRANSACTIONS_MAX", 1)
    made = filters.Filters(devnet.chain, devnet.pool, devnet.backend.runtime, devnet.api.lane, RpcLimits())
    await emit(devnet, rpc, 1)
    assert (len(made._blocks), len(made._transactions)) == (0, 0)  # nobody asks
    blocks, slow = made.new_block_filter(), made.new_block_filter()
    names, whole = made.new_pending_filter(False), made.new_pending_filter(True)
    await emit(devnet, rpc, 2, 3)
    assert len(await made.changes(blocks)) == 1
    sent = await made.changes(names)
    assert len(sent) == 2
    await emit(devnet, rpc, 4)
    assert (len(made._blocks), len(made._transactions)) == (2, 3)  # two have not read any
    told = await made.changes(whole)  # more than one: a worker makes these
    assert [tx["hash"] for tx in told] == sent + await made.changes(names)
    assert {tx["from"] for tx in told} == {(await devnet.ask("eth_getTransactionByHash", sent[0]))["from"]}
    assert made.remove(whole)
    await emit(devnet, rpc, 5)
    assert len(made._transactions) == 1
    assert made._transactions.since(3)[0].raw is None  # who wants names only has no bytes kept
    devnet.clock.offset_ms += RpcLimits().filter_idle_ms // 2 + 1
    await made.changes(blocks)
    devnet.clock.offset_ms += RpcLimits().filter_idle_ms // 2
    await emit(devnet, rpc, 6)
    assert (len(made), len(made._blocks), len(made._transactions)) == (1, 1, 0)  # the rest was not asked for too long
    with pytest.raises(Exception, match="filter not found"):
        await made.changes(slow)
    made.close()


async def test_closing_stops_listening(devnet: Any) -> None:
    listeners = len(devnet.pool.on_added)
    devnet.api.close()
    assert len(devnet.pool.on_added) == listeners - 1
    devnet.api.close()
