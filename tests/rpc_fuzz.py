"""Random and almost right requests to a node that runs: over HTTP, over WebSocket, and bytes that are no HTTP at all.

    python -m tests.rpc_fuzz                        50,000 requests to an instant node of its own, with --dev
    python -m tests.rpc_fuzz --requests 10000 --seed 7 --url http://127.0.0.1:8545

Arguments come from the method table (what each parameter is read by), from whole requests that are good, and, where
../shared/rpc-compat lies beside the repository, from its recorded requests; then they are bent. What must hold:
every request is answered in time with well-formed JSON-RPC within the size limit, never with "internal error", never
with a traceback or a path, and afterwards the node is healthy. Exit code 1 where it does not, with the requests.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any, Final

import aiohttp

from tests.rpc_fuzz_maker import Maker

ROOT: Final = Path(__file__).resolve().parent.parent
ANSWER_SECONDS_MAX: Final = 40.0
"""Ten more than a request's own limit."""
WEBSOCKET_BYTES_MAX: Final = 5 * 1024 * 1024
WIRE_SECONDS: Final = 0.3
"""How long to wait where the node may be waiting for more bytes."""
ANSWER_BYTES_MAX: Final = 65 * 1024 * 1024
LEAKS: Final = re.compile(rb"Traceback|File \\\"|site-packages|/node/|/home/|/root/|/tmp/|\.py\b|0x[0-9a-f]{12}>")


class Wrong(AssertionError):
    """An answer that must not be."""


def check(body: bytes, asked: Any, answer: bytes) -> Counter[str]:
    """Raises Wrong. Counts outcomes: "result", or the error's code."""
    if len(answer) > ANSWER_BYTES_MAX:
        raise Wrong(f"an answer of {len(answer)} bytes")
    outcomes: Counter[str] = Counter()
    if not answer:
        ids = [
            one for one in (asked if isinstance(asked, list) else [asked]) if not isinstance(one, dict) or "id" in one
        ]
        if asked is not None and (ids or asked == []):
            raise Wrong("no answer to a request with an id")
        outcomes["nothing"] += 1
        return outcomes
    try:
        told = json.loads(answer)
    except ValueError as error:
        raise Wrong(f"no JSON: {error}: {answer[:200]!r}") from None
    for one in told if isinstance(told, list) else [told]:
        outcomes[_check_one(one, answer)] += 1
    if isinstance(told, dict) and isinstance(asked, dict) and isinstance(asked.get("id"), int | str):
        refused = told["id"] is None and told.get("error", {}).get("code") == -32600
        if told["id"] != asked["id"] and not refused:
            raise Wrong(f"another id: {told['id']!r} for {asked['id']!r}")
    return outcomes


def _check_one(one: Any, answer: bytes) -> str:
    if (
        not isinstance(one, dict)
        or one.get("jsonrpc") != "2.0"
        or "id" not in one
        or ("result" in one) == ("error" in one)
    ):
        raise Wrong(f"no JSON-RPC: {answer[:300]!r}")
    if set(one) - {"jsonrpc", "id", "result", "error"}:
        raise Wrong(f"more members than there are: {sorted(one)}")
    if "result" in one:
        return "result"
    error = one["error"]
    if (
        not isinstance(error, dict)
        or not isinstance(error.get("code"), int)
        or not isinstance(error.get("message"), str)
    ):
        raise Wrong(f"no error object: {error!r}")
    if set(error) - {"code", "message", "data"}:
        raise Wrong(f"an error with more: {error!r}")
    if error["code"] == -32603 and not error["message"].startswith("err: "):
        raise Wrong(f"internal error: {error!r}")
    if LEAKS.search(json.dumps(error).encode()):
        raise Wrong(f"it tells too much: {error!r}")
    return str(error["code"])


class Fuzz:
    """A run against one node."""

    def __init__(self, url: str, seed: int, session: aiohttp.ClientSession) -> None:
        self.url = url
        self.maker = Maker(seed)
        self.session = session
        self.outcomes: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.sent = 0

    def judge(self, body: bytes, asked: Any, answer: bytes) -> None:
        """Count an answer, or keep what is wrong with it."""
        try:
            self.outcomes += check(body, asked, answer)
        except Wrong as error:
            self.wrong.append(f"{error}\n  request {body[:2_000]!r}")
        if isinstance(asked, dict) and str(asked.get("method", "")).startswith("eth_new") and b'"result":"0x' in answer:
            self.maker.filters.append(json.loads(answer)["result"])

    async def over_http(self, count: int) -> None:
        """So many requests, one after another."""
        for _ in range(count):
            body, asked = self.maker.body()
            self.sent += 1
            try:
                async with asyncio.timeout(ANSWER_SECONDS_MAX):
                    async with self.session.post(self.url, data=body) as response:
                        self.judge(body, asked, await response.read())
            except (TimeoutError, aiohttp.ClientError) as error:
                self.wrong.append(f"{error!r}\n  request {body[:2_000]!r}")

    async def over_websocket(self, count: int) -> None:
        """The same, on one connection; what it is told beside answers is passed over."""
        async with self.session.ws_connect(self.url, max_msg_size=0) as socket:
            for _ in range(count):
                body, asked = self.maker.body()
                self.sent += 1
                has_id = isinstance(asked, list) and any(not isinstance(one, dict) or "id" in one for one in asked)
                if len(body) > WEBSOCKET_BYTES_MAX:
                    continue  # the node would close the connection, as it must
                if asked is not None and not has_id and asked != [] and (isinstance(asked, list) or "id" not in asked):
                    continue  # nothing would come back
                await socket.send_bytes(body)
                try:
                    async with asyncio.timeout(ANSWER_SECONDS_MAX):
                        while True:
                            message = await socket.receive()
                            if message.type is not aiohttp.WSMsgType.TEXT:
                                self.wrong.append(f"closed: {message!r}\n  request {body[:2_000]!r}")
                                return
                            if '"method":"eth_subscription"' not in message.data[:60]:
                                break
                except TimeoutError as error:
                    self.wrong.append(f"{error!r} on a WebSocket\n  request {body[:2_000]!r}")
                    return
                self.judge(body, asked, message.data.encode())

    async def as_bytes(self, count: int) -> None:
        """Nearly HTTP, each on a connection of its own: an HTTP answer, or the connection's end."""
        host, port = self.url.removeprefix("http://").rsplit(":", 1)
        for _ in range(count):
            raw = self.maker.wire()
            self.sent += 1
            reader, writer = await asyncio.open_connection(host, int(port))
            try:
                writer.write(raw)
                async with asyncio.timeout(WIRE_SECONDS):
                    told = await reader.read(100_000)
                if told and not told.startswith(b"HTTP/1."):
                    self.wrong.append(f"no HTTP: {told[:100]!r}\n  bytes {raw!r}")
                if LEAKS.search(told):
                    self.wrong.append(f"it tells too much: {told!r}\n  bytes {raw!r}")
                self.outcomes["http " + told[9:12].decode("latin1")] += 1
            except TimeoutError:
                self.outcomes["http waits"] += 1
            except ConnectionError:
                self.outcomes["http reset"] += 1
            finally:
                writer.close()

    async def run(self, requests: int, at_once: int = 8) -> None:
        """Three quarters over HTTP, most of the rest over WebSocket."""
        each = requests // at_once
        lanes = [self.over_http(each) for _ in range(at_once * 3 // 4)]
        lanes += [self.over_websocket(each) for _ in range(at_once - len(lanes))]
        await asyncio.gather(*lanes, self.as_bytes(max(1, requests // 50)))
        async with self.session.get(self.url + "/health") as response:
            if response.status != 200:
                self.wrong.append(f"not healthy: {await response.text()}")


def _evmesh(*words: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-m", "network", *words, "--json"], stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT
    )
    return json.loads(done.stdout)


async def _campaign(url: str, options: argparse.Namespace) -> Fuzz:
    async with aiohttp.ClientSession(headers={"Content-Type": "application/json"}) as session:
        fuzz = Fuzz(url, options.seed, session)
        rest = options.requests
        while rest > 0:
            await fuzz.run(min(rest, 4_000))
            rest -= 4_000
            print(f"{fuzz.sent} sent, {len(fuzz.wrong)} wrong", file=sys.stderr, flush=True)
        return fuzz


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=50_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--url", help="a node that runs already (its chain will be changed); default: one of its own")
    options = parser.parse_args()
    if options.url:
        fuzz = asyncio.run(_campaign(options.url, options))
        complaints: list[str] = []
    else:
        with tempfile.TemporaryDirectory() as state:
            os.environ["XDG_STATE_HOME"] = state
            words = ("--nodes", "1", "--consensus", "instant", "--dev", "--port", "0", "--p2p-port", "0")
            started = _evmesh("up", "-d", *words)
            try:
                fuzz = asyncio.run(_campaign(started["nodes"][0]["url"], options))
                log = Path(started["nodes"][0]["log"]).read_text()
            finally:
                _evmesh("down", started["name"], "--remove")
        complaints = [line for line in log.splitlines() if "failed" in line or "Traceback" in line or "ERROR" in line]
    for one in fuzz.wrong[:20]:
        print(one)
    for line in complaints[:20]:
        print(f"log: {line}")
    print(
        json.dumps(
            {
                "sent": fuzz.sent,
                "wrong": len(fuzz.wrong),
                "log": len(complaints),
                "outcomes": dict(fuzz.outcomes.most_common()),
            }
        )
    )
    return 1 if fuzz.wrong or complaints else 0


if __name__ == "__main__":
    sys.exit(main())
