"""HTTP for the page: its files, one stream of snapshots, what the explorer asks, and what the buttons do.

    GET  /                   the page; its scripts and styles beside it, all from memory
    GET  /api/stream         server-sent events, a snapshot each time that something was looked at
    GET  /api/snapshot       one of them
    GET  /api/explore/...    blocks, transactions, accounts, search (explorer.py)
    POST /api/deed           a fault, or its end (deeds.py)
    POST /api/artifact       a compiled contract, to decode by

Bounded: streams, bodies, and questions to nodes at the same time. While nobody watches, no node is asked anything.
"""

from __future__ import annotations

import asyncio
import contextlib
import html
import secrets
import sys
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from importlib import resources
from typing import Any, Final, TypeVar

import orjson
from aiohttp import web

from network.client import NodeUnreachable
from network.cluster.companion import page_log
from network.cluster.run_directory import PAGE_HOST, RunDirectory
from network.failures import BadInput, Failure, TimedOut
from network.page.deeds import Deeds
from network.page.explorer import Explorer, NotThere
from network.page.guard import SECURITY_HEADERS, Guard
from network.page.watch import Watch

STREAMS_MAX: Final = 16
QUESTIONS_MAX: Final = 4
"""Put to nodes at the same time."""
WAITING_MAX: Final = 32
"""Questions that wait their turn; further ones are refused."""
DEEDS_MAX: Final = 3
BODY_BYTES_MAX: Final = 4 * 1024 * 1024
LOOK_SECONDS: Final = (0.25, 0.5)
"""Between two looks, at least and at most; in between it is half a block time."""
HEARTBEAT_SECONDS: Final = 15.0
FRESH_SECONDS: Final = 2.0
"""A snapshot that old is shown to a new watcher at once, and replaced by the next look."""
SHUTDOWN_SECONDS: Final = 1.0
TOKEN_MARK: Final = b"{{token}}"
_TYPES: Final = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}

T = TypeVar("T")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class PageServer:
    """One network's page."""

    def __init__(self, run: RunDirectory, port: int) -> None:
        self._run = run
        self._port = port
        self._token = secrets.token_urlsafe(24)
        self._guard = Guard(port, self._token)
        self._watch = Watch(run)
        self._explorer = Explorer(run)
        self._deeds = Deeds(run)
        block_seconds = run.network().block_time_ms / 1000
        self._pause = min(max(block_seconds / 2, LOOK_SECONDS[0]), LOOK_SECONDS[1])
        # a look never waits behind an explorer's question, and a button behind neither
        self._lookers = ThreadPoolExecutor(1, "look")
        self._answerers = ThreadPoolExecutor(QUESTIONS_MAX, "answer")
        self._doers = ThreadPoolExecutor(DEEDS_MAX, "do")
        self._files = _load_files(self._token)
        self._snapshot = b""
        self._taken = -FRESH_SECONDS
        self._looked = asyncio.Condition()
        self._streams = 0
        self._doing = 0
        self._asking = 0
        self._runner: web.AppRunner | None = None
        self._looking: asyncio.Task[None] | None = None
        self._look_now: asyncio.Task[None] | None = None

    def application(self) -> web.Application:
        """The routes, behind the guard."""
        app = web.Application(middlewares=[self._check], client_max_size=BODY_BYTES_MAX)
        for path in self._files:
            app.router.add_get(path, self._file)
        app.router.add_get("/api/stream", self._stream)
        app.router.add_get("/api/snapshot", self._one_snapshot)
        app.router.add_get("/api/explore/{what}", self._explore)
        app.router.add_get("/api/explore/{what}/{which}", self._explore)
        app.router.add_post("/api/deed", self._deed)
        app.router.add_post("/api/artifact", self._artifact)
        return app

    async def start(self) -> None:
        """Listen on the loopback address. Raises OSError."""
        self._runner = web.AppRunner(
            self.application(), access_log=None, handle_signals=False, shutdown_timeout=SHUTDOWN_SECONDS
        )
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, PAGE_HOST, self._port).start()
        except OSError:
            await self.stop()
            raise

    async def stop(self) -> None:
        """End all streams, stop listening."""
        for task in (self._looking, self._look_now):
            if task is not None:
                task.cancel()
        if self._runner is not None:
            await self._runner.cleanup()
        for pool in (self._lookers, self._answerers, self._doers):
            pool.shutdown(wait=False, cancel_futures=True)
        self._watch.close()
        self._explorer.close()

    # ---- the guard

    @web.middleware
    async def _check(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            reason = self._guard.refusal(request.headers, page=request.path == "/")
            if not reason and request.method not in ("GET", "HEAD"):
                reason = self._guard.refusal_of_change(request.headers, request.content_type)
            response = _problem(403, reason) if reason else await handler(request)
        except web.HTTPException as error:
            response = _problem(error.status, error.reason)
        except BadInput as failure:
            response = _problem(400, failure.message, failure.hint)
        except TimedOut as failure:
            response = _problem(504, failure.message, failure.hint)
        except NodeUnreachable as failure:
            response = _problem(502, failure.message, failure.hint)
        except Failure as failure:
            response = _problem(409, failure.message, failure.hint)
        except Exception as error:  # said in the log, and to the browser only that it is there
            print(f"error: {request.method} {request.path}: {error!r}", file=sys.stderr, flush=True)
            response = _problem(500, "the page's server has made a mistake", f"its log: {page_log(self._run)}")
        if not response.prepared:
            response.headers.update(SECURITY_HEADERS)
        return response

    # ---- files

    async def _file(self, request: web.Request) -> web.Response:
        if request.path == "/" and not self._streams:
            self._ensure_looking()  # until the scripts are there, the nodes have answered
        content, kind = self._files[request.path]
        return web.Response(body=content, content_type=kind, charset="utf-8")

    # ---- snapshots

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        if self._streams >= STREAMS_MAX:
            return _problem(503, f"{STREAMS_MAX} browsers watch already")
        self._streams += 1
        try:
            response = web.StreamResponse(headers={**SECURITY_HEADERS, "Content-Type": "text/event-stream"})
            await response.prepare(request)
            self._ensure_looking()
            loop = asyncio.get_running_loop()
            if self._snapshot and loop.time() - self._taken < FRESH_SECONDS:
                await response.write(b"data: " + self._snapshot + b"\n\n")
            while True:
                async with self._looked:
                    try:
                        await asyncio.wait_for(self._looked.wait(), HEARTBEAT_SECONDS)
                    except TimeoutError:
                        message = b": still here\n\n"
                    else:
                        message = b"data: " + self._snapshot + b"\n\n"
                # who reads slowly misses snapshots, and holds nobody up: the next one says all
                await response.write(message)
        except (ConnectionError, asyncio.CancelledError):
            raise
        finally:
            self._streams -= 1

    async def _one_snapshot(self, request: web.Request) -> web.Response:
        if not self._snapshot or asyncio.get_running_loop().time() - self._taken > LOOK_SECONDS[0]:
            await self._look()
        return web.Response(body=self._snapshot, content_type="application/json")

    def _ensure_looking(self) -> None:
        if self._looking is None or self._looking.done():
            self._looking = asyncio.get_running_loop().create_task(self._look_on())

    async def _look_on(self) -> None:
        """Look as long as somebody watches."""
        loop = asyncio.get_running_loop()
        first = True
        while self._streams or first:
            first = False
            began = loop.time()
            try:
                await self._look()
            except (Failure, LookupError, ValueError, TypeError, AttributeError) as error:
                # a node that answers with what no node says must not end the page; the next look may fare better
                print(f"cannot look: {error!r}", file=sys.stderr, flush=True)
            async with self._looked:
                self._looked.notify_all()
            await asyncio.sleep(max(0.05, self._pause - (loop.time() - began)))

    async def _look(self) -> None:
        """Look, or wait for the look that is going on."""
        if self._look_now is None:
            self._look_now = asyncio.get_running_loop().create_task(self._look_once())
        await asyncio.shield(self._look_now)

    async def _look_once(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            snapshot = await loop.run_in_executor(self._lookers, self._watch.look)
        finally:
            self._look_now = None
        self._snapshot = orjson.dumps(snapshot)
        self._taken = loop.time()

    # ---- questions and deeds

    async def _explore(self, request: web.Request) -> web.Response:
        what, which = request.match_info["what"], request.match_info.get("which", "")
        asked = dict(request.query)
        try:
            return await self._answer(self._answerers, lambda: self._explorer.answer(what, which, asked))
        except (BadInput, NotThere) as failure:
            # no mistake of anybody's: who searches may miss, and the browser's console need not speak of it
            return _problem(200, failure.message, failure.hint)

    async def _deed(self, request: web.Request) -> web.Response:
        wanted = await _json_of(request)
        if self._doing >= DEEDS_MAX:
            return _problem(429, "enough is being done already", "wait until one of them is")
        self._doing += 1
        try:
            return await self._answer(self._doers, lambda: self._deeds.do(wanted))
        finally:
            self._doing -= 1
            self._taken = -FRESH_SECONDS  # what was seen before is old

    async def _artifact(self, request: web.Request) -> web.Response:
        wanted = await _json_of(request)
        return await self._answer(self._answerers, lambda: self._explorer.attach(wanted))

    async def _answer(self, pool: ThreadPoolExecutor, question: Callable[[], Any]) -> web.Response:
        if self._asking >= WAITING_MAX:
            return _problem(503, "too many questions wait already")
        self._asking += 1
        try:
            found = await asyncio.get_running_loop().run_in_executor(pool, question)
        finally:
            self._asking -= 1
        return web.Response(body=orjson.dumps(found), content_type="application/json")


async def _json_of(request: web.Request) -> dict[str, Any]:
    with contextlib.suppress(ValueError):
        content = orjson.loads(await request.read())
        if isinstance(content, dict):
            return content
    raise BadInput("the body is not a JSON object")


def _problem(status: int, message: str, hint: str = "") -> web.Response:
    body = orjson.dumps({"error": message, "hint": hint})
    return web.Response(status=status, body=body, content_type="application/json", headers=dict(SECURITY_HEADERS))


def _load_files(token: str) -> dict[str, tuple[bytes, str]]:
    """Path to content and type of everything in ``static``; nothing else of the disk can be asked for."""
    files: dict[str, tuple[bytes, str]] = {}
    for entry in resources.files("network.page").joinpath("static").iterdir():
        kind = _TYPES.get("." + entry.name.rpartition(".")[2])
        if kind is not None:
            files["/" + entry.name] = (entry.read_bytes(), kind)
    index = files.pop("/index.html")[0].replace(TOKEN_MARK, html.escape(token).encode())
    files["/"] = (index, "text/html")
    return files
