"""Random and almost-right requests: always well-formed JSON-RPC, never "internal error"."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any, Final

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

HEX: Final = st.text("0123456789abcdefABCDEF", max_size=70).map(lambda digits: "0x" + digits) | st.text(
    "0123456789abcdefABCDEFxXgé² _-+", max_size=12
).map(lambda digits: "0x" + digits)
ADDRESS: Final = st.sampled_from(["0x" + digit * 40 for digit in "0123e"] + ["0x" + "e1" * 20, "0x" + "e2" * 20])
HASH: Final = st.binary(min_size=32, max_size=32).map(lambda data: "0x" + data.hex())
QUANTITY: Final = st.integers(0, 2**70).map(hex)
TAG: Final = st.sampled_from(["latest", "earliest", "pending", "safe", "finalized", "0x0", "0x1", "0x7fffffffffffffff"])
BLOCK: Final = TAG | HASH | st.fixed_dictionaries({"blockHash": HASH}) | st.fixed_dictionaries({"blockNumber": TAG})
JUNK: Final = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text(max_size=20)
    | HEX,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
CALL: Final = st.fixed_dictionaries(
    {},
    optional={
        "from": ADDRESS | JUNK,
        "to": ADDRESS | JUNK,
        "gas": st.integers(0, 200_000).map(hex) | JUNK,
        "gasPrice": QUANTITY | JUNK,
        "maxFeePerGas": QUANTITY | JUNK,
        "maxPriorityFeePerGas": QUANTITY | JUNK,
        "maxFeePerBlobGas": QUANTITY | JUNK,
        "value": QUANTITY | JUNK,
        "nonce": QUANTITY | JUNK,
        "input": HEX | JUNK,
        "data": HEX | JUNK,
        "accessList": JUNK
        | st.lists(
            st.fixed_dictionaries({"address": ADDRESS, "storageKeys": st.lists(HASH | HEX, max_size=3)}), max_size=3
        ),
        "authorizationList": JUNK
        | st.lists(
            st.fixed_dictionaries(
                {
                    "chainId": QUANTITY,
                    "address": ADDRESS,
                    "nonce": QUANTITY,
                    "yParity": QUANTITY,
                    "r": QUANTITY,
                    "s": QUANTITY,
                }
            ),
            max_size=2,
        ),
        "blobVersionedHashes": st.lists(HASH, max_size=3) | JUNK,
    },
)
LOGS: Final = st.fixed_dictionaries(
    {},
    optional={
        "fromBlock": TAG | JUNK,
        "toBlock": TAG | JUNK,
        "blockHash": HASH | JUNK,
        "address": ADDRESS | st.lists(ADDRESS, max_size=3) | JUNK,
        "topics": st.lists(st.none() | HASH | st.lists(HASH | st.none(), max_size=3), max_size=5) | JUNK,
    },
)
ANY: Final = JUNK | HEX | ADDRESS | HASH | QUANTITY | BLOCK | CALL | LOGS | st.booleans()


@pytest.fixture(scope="module")
def node(request: pytest.FixtureRequest) -> Iterator[tuple[asyncio.AbstractEventLoop, Any]]:
    """One node for all examples, on a loop of its own (hypothesis calls plain functions)."""
    import sys

    conftest = next(module for name, module in sys.modules.items() if name.endswith("unit.rpc.conftest"))
    loop = asyncio.new_event_loop()

    async def make() -> Any:
        devnet = conftest.make_devnet()
        await devnet.send(devnet.signed(to=conftest.EMITTER, data=bytes(32)))
        await devnet.mine()
        await devnet.send(devnet.signed())
        return devnet

    made = loop.run_until_complete(make())
    yield loop, made
    made.api.close()
    made.backend.runtime.workers.close()
    loop.close()


def check_answer(told: Any) -> None:
    assert told["jsonrpc"] == "2.0"
    assert ("result" in told) != ("error" in told)
    assert set(told) <= {"jsonrpc", "id", "result", "error"}
    if "error" in told:
        error = told["error"]
        assert set(error) <= {"code", "message", "data"}
        assert isinstance(error["code"], int)
        assert isinstance(error["message"], str)
        assert error["code"] != -32603, error
        assert "Traceback" not in error["message"]


def answer(node: tuple[asyncio.AbstractEventLoop, Any], body: bytes) -> Any:
    loop, devnet = node
    raw = loop.run_until_complete(devnet.dispatcher.call(body))
    assert not devnet.lines or "rpc method failed" not in devnet.lines[-1], devnet.lines[-1]
    return orjson.loads(raw) if raw else None


BOUNDED: Final = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)


@BOUNDED
@given(body=st.binary(max_size=200))
def test_random_bytes(node: Any, body: bytes) -> None:
    told = answer(node, body)
    for one in told if isinstance(told, list) else [told] if told is not None else []:
        check_answer(one)


@BOUNDED
@given(
    request=JUNK
    | st.lists(JUNK, max_size=5)
    | st.fixed_dictionaries({}, optional={"jsonrpc": st.just("2.0") | JUNK, "id": JUNK, "method": JUNK, "params": JUNK})
)
def test_random_json(node: Any, request: Any) -> None:
    told = answer(node, orjson.dumps(request))
    for one in told if isinstance(told, list) else [told] if told is not None else []:
        check_answer(one)


@settings(BOUNDED, max_examples=500)
@given(data=st.data())
def test_known_methods_with_arguments_of_every_kind(node: Any, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(node[1].dispatcher._methods)))
    params = data.draw(st.lists(ANY, max_size=4))
    check_answer(answer(node, orjson.dumps({"jsonrpc": "2.0", "id": 1, "method": name, "params": params})))


SHAPED: Final[dict[str, tuple[Any, ...]]] = {
    "eth_call": (CALL, BLOCK),
    "eth_estimateGas": (CALL, BLOCK),
    "eth_createAccessList": (CALL, BLOCK),
    "eth_getLogs": (LOGS,),
    "eth_newFilter": (LOGS,),
    "eth_getProof": (ADDRESS, st.lists(HEX | HASH, max_size=3), BLOCK),
    "eth_getStorageAt": (ADDRESS, HEX, BLOCK),
    "eth_getBalance": (ADDRESS, BLOCK),
    "eth_feeHistory": (QUANTITY | st.integers(0, 2000), TAG, st.lists(st.floats(-1, 101), max_size=4) | JUNK),
    "eth_sendRawTransaction": (st.binary(max_size=120).map(lambda raw: "0x" + raw.hex()),),
    "eth_getBlockReceipts": (BLOCK,),
    "evmesh_stateRoots": (TAG, TAG),
}


@settings(BOUNDED, max_examples=400)
@given(data=st.data())
def test_shaped_requests(node: Any, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(SHAPED)))
    params = [data.draw(one) for one in SHAPED[name]]
    if data.draw(st.booleans()):
        params[data.draw(st.integers(0, len(params) - 1))] = data.draw(ANY)
    check_answer(answer(node, orjson.dumps({"jsonrpc": "2.0", "id": 1, "method": name, "params": params})))
