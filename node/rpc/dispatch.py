"""One request body in, one response body out; no sockets.

    bytes -> JSON -> [request | batch] -> method table -> arguments by annotation -> result | error -> bytes

Whatever comes in, what goes out is well-formed JSON-RPC 2.0 (or nothing, for notifications).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from inspect import iscoroutine
from typing import Any, Final

import orjson

from node.rpc.errors import (
    INVALID_REQUEST,
    PARSE_ERROR,
    RESPONSE_TOO_LARGE,
    TIMED_OUT,
    RpcError,
    internal_error,
    method_not_found,
    refused,
)
from node.rpc.methods import Method
from node.rpc.work_lane import Deadline
from node.runtime.clock import Clock
from node.telemetry.logs import Log
from node.trie.nodes import MissingNode

EXACT_INTEGER_MAX: Final = 2**53
"""An id beyond this may have lost digits on its way through a JSON reader: not echoed, refused."""

YIELD_EVERY: Final = 16
"""Batch items between two chances for the event loop to do something else."""

ID_CHARACTERS_MAX: Final = 1_024

Observe = Callable[[str, int, bool], None]
"""``observe(method, milliseconds, succeeded)``; the method is "unknown" for one that is not in the table."""


Prepare = Callable[[list[Any]], Awaitable[None] | None]


def _nothing_to_prepare(arguments: list[Any]) -> None:
    """Where every method finds what it needs."""


def _unobserved(method: str, elapsed_ms: int, succeeded: bool) -> None:
    """Where nobody measures."""


def _envelope(request_id: bytes, member: bytes) -> bytes:
    return b'{"jsonrpc":"2.0","id":' + request_id + b"," + member + b"}"


def _error(request_id: bytes, error: RpcError) -> bytes:
    return _envelope(request_id, b'"error":' + orjson.dumps(error.to_json()))


def _readable(value: object) -> object:
    """JSON has no place for lone surrogates; none can arrive here through orjson."""
    raise TypeError(f"a method returned {type(value).__name__}")


class Dispatcher:
    """Calls methods. One for a node; safe for any number of concurrent calls on one event loop."""

    def __init__(
        self,
        api: Any,
        methods: Mapping[str, Method],
        *,
        clock: Clock,
        log: Log,
        batch_items_max: int = 1_000,
        response_bytes_max: int = 64 * 1024 * 1024,
        batch_response_bytes_max: int = 25_000_000,
        request_time_ms: int = 30_000,
        observe: Observe = _unobserved,
        prepare: Prepare = _nothing_to_prepare,
    ) -> None:
        """``prepare``: told a call's arguments before it runs; it may give something to wait for."""
        self._api = api
        self._methods = methods
        self._clock = clock
        self._log = log
        self._batch_items_max = batch_items_max
        self._response_bytes_max = response_bytes_max
        self._batch_response_bytes_max = batch_response_bytes_max
        self._request_time_ms = request_time_ms
        self._observe = observe
        self._prepare = prepare

    async def call(self, body: bytes, session: Mapping[str, Method] | None = None) -> bytes:
        """Answer one request or batch; empty when there is nothing to answer.

        ``session`` adds methods that exist on this connection only (subscriptions).
        """
        answer = self.begin(body, session)
        return answer if isinstance(answer, bytes) else await answer

    def begin(self, body: bytes, session: Mapping[str, Method] | None = None) -> bytes | Coroutine[Any, Any, bytes]:
        """As ``call``: the answer itself where nothing has to be waited for, else something that gives it."""
        try:
            request = orjson.loads(body)
        except (orjson.JSONDecodeError, RecursionError):
            return _error(b"null", RpcError(PARSE_ERROR, "parse error"))
        if isinstance(request, list):
            return self._batch(request, session)
        return self._single(request, session)

    async def _batch(self, requests: list[Any], session: Mapping[str, Method] | None) -> bytes:
        if not requests:
            return _error(b"null", RpcError(INVALID_REQUEST, "empty batch"))
        if len(requests) > self._batch_items_max:
            return _error(b"null", RpcError(INVALID_REQUEST, "batch too large"))
        deadline = Deadline(self._clock, self._request_time_ms)
        answers: list[bytes] = []
        size = 0
        for position, request in enumerate(requests):
            if position % YIELD_EVERY == YIELD_EVERY - 1:
                await asyncio.sleep(0)
            if size > self._batch_response_bytes_max:
                answer = self._refuse(request, RpcError(RESPONSE_TOO_LARGE, "response too large"))
            elif deadline.passed():
                answer = self._refuse(request, RpcError(TIMED_OUT, "request timed out"))
            else:
                begun = self._single(request, session)
                answer = begun if isinstance(begun, bytes) else await begun
            if answer:
                answers.append(answer)
                size += len(answer)
        return b"[" + b",".join(answers) + b"]" if answers else b""

    def _refuse(self, request: Any, error: RpcError) -> bytes:
        """An error for a batch item that is not run any more; nothing for a notification."""
        request_id = _id_of(request)
        if request_id is None:
            return b"" if _is_notification(request) else _error(b"null", error)
        return _error(request_id, error)

    def _single(self, request: Any, session: Mapping[str, Method] | None) -> bytes | Coroutine[Any, Any, bytes]:
        request_id = _id_of(request)
        name = request.get("method") if isinstance(request, dict) else None
        well_formed = isinstance(name, str) and request.get("jsonrpc") == "2.0"
        if not well_formed or (request_id is None and "id" in request):
            return _error(request_id or b"null", RpcError(INVALID_REQUEST, "invalid request"))
        assert isinstance(name, str)
        started_ms = self._clock.monotonic_ms()
        method = self._methods.get(name) or (session.get(name) if session is not None else None)
        if method is None:
            return self._answer(request_id, "unknown", started_ms, method_not_found(name))
        try:
            arguments = method.bind(request.get("params"))
            first = self._prepare(arguments)
            value = method.function(self._api, *arguments) if first is None else None
            if first is not None or iscoroutine(value):
                return self._later(request_id, method, arguments, first, value, started_ms)
            return self._answer(request_id, name, started_ms, self._encoded(value))
        except Exception as error:
            return self._answer(request_id, name, started_ms, self._told(method, error))

    async def _later(
        self,
        request_id: bytes | None,
        method: Method,
        arguments: list[Any],
        first: Awaitable[None] | None,
        value: Any,
        started_ms: int,
    ) -> bytes:
        """The answer of a method that has to wait: for what it was promised, or before it can begin."""
        try:
            if first is not None:
                await first
                value = method.function(self._api, *arguments)
            result: bytes | RpcError = self._encoded(await value if iscoroutine(value) else value)
        except Exception as error:
            result = self._told(method, error)
        return self._answer(request_id, method.name, started_ms, result)

    def _answer(self, request_id: bytes | None, name: str, started_ms: int, result: bytes | RpcError) -> bytes:
        """The response object; nothing for a notification."""
        succeeded = isinstance(result, bytes)
        self._observe(name, self._clock.monotonic_ms() - started_ms, succeeded)
        if request_id is None:
            return b""
        if isinstance(result, RpcError):
            return _error(request_id, result)
        return _envelope(request_id, b'"result":' + result)

    def _told(self, method: Method, error: Exception) -> RpcError:
        """What the caller hears; a failure of our own is logged and told as "internal error"."""
        if isinstance(error, RpcError):
            return error
        if isinstance(error, MissingNode):  # pruned while it was being read
            return refused(f"missing trie node {error.node_hash.hex()}: the state is not available")
        # the rim: one method's failure must not take the server down
        self._log.error("rpc method failed", method=method.name, error=f"{type(error).__name__}: {error}")
        return internal_error()

    def _encoded(self, value: Any) -> bytes:
        """The result as JSON. Raises RpcError where it is too large."""
        encoded = orjson.dumps(value, default=_readable)
        if len(encoded) > self._response_bytes_max:
            raise RpcError(RESPONSE_TOO_LARGE, "response too large")
        return encoded


def _id_of(request: Any) -> bytes | None:
    """The id as it stands in the answer: a string, a number or null. None where there is none to echo."""
    if not isinstance(request, dict) or "id" not in request:
        return None
    request_id = request["id"]
    if isinstance(request_id, bool | list | dict):
        return None
    if isinstance(request_id, float) and abs(request_id) >= EXACT_INTEGER_MAX:
        return None
    if isinstance(request_id, str) and len(request_id) > ID_CHARACTERS_MAX:
        return None
    return orjson.dumps(request_id)


def _is_notification(request: Any) -> bool:
    return (
        isinstance(request, dict)
        and "id" not in request
        and request.get("jsonrpc") == "2.0"
        and isinstance(request.get("method"), str)
    )
