"""eth_simulateV1, debug_* and testing_* against what another client answered on a chain of 54 blocks.

The chain is imported block by block; then every recorded request is sent and judged: equal as JSON but for the
words of errors; an answer that is recorded for its form only may be any result.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from node.chain.chain import Chain
from node.chain.genesis import genesis_from_json
from node.evm.interpreter import Interpreter
from node.primitives import rlp
from node.rpc.api import make_api
from node.rpc.backend import Backend, RpcLimits
from node.rpc.service import make_dispatcher
from node.runtime.runtime import Runtime
from node.runtime.transport import TcpNetwork
from node.runtime.workers import InlineWorkers
from node.storage.database import MemoryDatabase
from node.telemetry.logs import Log
from node.telemetry.metrics import Metrics
from node.txpool.pool import PoolConfig, TxPool
from node.types.blocks import block_from_parts, header_from_item

FIXTURES: Final = Path(__file__).parents[4] / "shared" / "rpc-compat"
JUDGED: Final = ("eth_simulateV1/", "debug_", "testing_", "eth_config/", "eth_createAccessList/", "eth_estimateGas/")
pytestmark = pytest.mark.skipif(
    not FIXTURES.is_dir(), reason="the execution-apis fixtures are not beside this checkout"
)


def _files(archive: str) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    with tarfile.open(FIXTURES / archive) as opened:
        for member in opened:
            if member.isfile():
                content = opened.extractfile(member)
                assert content is not None
                found[member.name.removeprefix("./")] = content.read()
    return found


def _blocks(raw: bytes) -> Iterator[Any]:
    stream = io.BytesIO(raw)
    while first := stream.read(1):
        length = stream.read(first[0] - 0xF7)
        items = rlp.decode_list(first + length + stream.read(int.from_bytes(length, "big")))
        yield block_from_parts(header_from_item(items[0]), items[1:])


def _without_words(value: Any) -> Any:
    """Messages of errors are the one thing that may differ."""
    if isinstance(value, list):
        return [_without_words(item) for item in value]
    if isinstance(value, dict):
        kept = {key: _without_words(item) for key, item in value.items()}
        if isinstance(kept.get("error"), dict):
            kept["error"].pop("message", None)
        return kept
    return value


async def _dispatcher(rpc: Any) -> Any:
    files = {name.rsplit("/", 1)[-1]: content for name, content in _files("chain.tar.xz").items()}
    clock = rpc.ManualClock()
    log = Log(clock, "n0", write=lambda line: None)
    runtime = Runtime(clock=clock, network=TcpNetwork(), workers=InlineWorkers(), entropy=bytes)
    chain = Chain(MemoryDatabase(), genesis_from_json(json.loads(files["genesis.json"])), Interpreter(), runtime, log)
    last = chain.genesis_hash
    for block in _blocks(files["chain.rlp"]):
        status = await chain.new_payload(block)
        assert status.valid, status
        last = block.hash
    await chain.forkchoice_updated(last, last, last, {})
    backend = Backend(
        chain=chain,
        pool=TxPool(PoolConfig(), chain.chain_id),
        peers=list,
        limits=RpcLimits(call_time_ms=60_000),  # what is judged is the answer, on however busy a machine
        consensus=rpc.Consensus(),
        vm=Interpreter(),
        runtime=runtime,
        log=log,
        name="n0",
        version="0.1.0",
    )
    return make_dispatcher(make_api(backend), Metrics())


async def test_recorded_answers(rpc: Any) -> None:
    dispatcher = await _dispatcher(rpc)
    wrong: list[str] = []
    judged = 0
    for name, content in sorted(_files("tests.tar.xz").items()):
        short = "/".join(name.split("/")[-2:])
        if not short.startswith(JUDGED):
            continue
        lines = content.decode().splitlines()
        for_form_only = any(line.startswith("// speconly:") for line in lines)
        asked = b""
        for line in lines:
            if line.startswith(">> "):
                asked = line[3:].encode()
            elif line.startswith("<< "):
                judged += 1
                answer, recorded = json.loads(await dispatcher.call(asked)), json.loads(line[3:])
                # traces are recorded for their form; step for step they are the same, too
                by_form = for_form_only and "result" in answer and not short.startswith("debug_trace")
                right = by_form or _without_words(answer) == _without_words(recorded)
                if not right:
                    wrong.append(f"{short}: {str(answer)[:200]}")
    assert not wrong
    assert judged > 90
