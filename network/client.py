"""A JSON-RPC client over HTTP: calls, batches, typed answers for what the commands need.

Plain blocking HTTP from the standard library: a command that asks one question should not first pay a
quarter of a second for importing an async HTTP stack. Connections are kept open between calls.
"""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

from network.failures import BadInput, Failure
from node.primitives.hexadecimal import to_data, to_quantity

RESPONSE_BYTES_MAX: Final = 128 * 1024 * 1024
TIMEOUT_SECONDS: Final = 30.0


class NodeUnreachable(Failure):
    """Nobody answers at the node's address."""


class RpcError(Failure):
    """The node answered with an error. ``code`` is JSON-RPC's; ``data`` what came with it (a revert's bytes)."""

    def __init__(self, method: str, code: int, message: str, data: Any = None) -> None:
        super().__init__(message, method=method, rpc_code=code)
        self.method = method
        self.code = code
        self.data = data

    @property
    def revert_data(self) -> bytes | None:
        """What the reverted code returned, or None where this is another error."""
        if self.code != 3 and "revert" not in self.message:
            return None
        if isinstance(self.data, str) and self.data.startswith("0x"):
            try:
                return bytes.fromhex(self.data[2:])
            except ValueError:
                return b""
        return b""


class NodeClient:
    """One node's JSON-RPC door. May be used from several threads."""

    def __init__(self, url: str, name: str = "", timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        parts = urlsplit(url)
        if parts.scheme != "http" or not parts.hostname:
            raise BadInput(f"{url!r} is not an http:// address")
        self.url = url
        self.name = name or url
        self._host = parts.hostname
        self._port = parts.port or 80
        self._path = parts.path or "/"
        self._timeout = timeout_seconds
        self._idle: list[http.client.HTTPConnection] = []
        self._lock = threading.Lock()

    def call(self, method: str, *parameters: Any) -> Any:
        """The result of one call. Raises RpcError, NodeUnreachable."""
        return self._result(method, self._post(_request(method, parameters)))

    def batch(self, calls: Sequence[tuple[str, Sequence[Any]]]) -> list[Any]:
        """Results of many calls in one request, in order. Raises RpcError of the first that failed."""
        outcomes = self.batch_outcomes(calls)
        for outcome in outcomes:
            if isinstance(outcome, RpcError):
                raise outcome
        return outcomes

    def batch_outcomes(self, calls: Sequence[tuple[str, Sequence[Any]]]) -> list[Any]:
        """The same, with an RpcError in the place of each call that failed."""
        if not calls:
            return []
        answers = self._post([_request(method, parameters, index) for index, (method, parameters) in enumerate(calls)])
        if not isinstance(answers, list):
            self._result(calls[0][0], answers)
            raise NodeUnreachable(f"{self.name}: a batch was not answered with a list")
        by_id = {answer.get("id"): answer for answer in answers if isinstance(answer, dict)}
        outcomes: list[Any] = []
        for index, (method, _) in enumerate(calls):
            try:
                outcomes.append(self._result(method, by_id.get(index)))
            except RpcError as error:
                outcomes.append(error)
        return outcomes

    def healthy(self) -> bool:
        """Whether GET /health answers 200."""
        try:
            status, _ = self._exchange("GET", "/health", None)
        except NodeUnreachable:
            return False
        return status == 200

    # --- typed answers ---

    def block_number(self, tag: str = "latest") -> int:
        """Number of the block that ``tag`` means."""
        if tag == "latest":
            return int(self.call("eth_blockNumber"), 16)
        return int(self.block(tag)["number"], 16)

    def block(self, number: int | str, full: bool = False) -> dict[str, Any]:
        """A block by number or tag. Raises Failure where the node does not have it."""
        block = self.call("eth_getBlockByNumber", block_tag(number), full)
        if not isinstance(block, dict):
            raise Failure(f"{self.name} does not have block {number}")
        return block

    def peer_count(self) -> int:
        """Connected peers."""
        return int(self.call("net_peerCount"), 16)

    def nonce(self, address: bytes, tag: str = "pending") -> int:
        """The account's next nonce."""
        return int(self.call("eth_getTransactionCount", to_data(address), tag), 16)

    def balance(self, address: bytes, tag: int | str = "latest") -> int:
        """Wei."""
        return int(self.call("eth_getBalance", to_data(address), block_tag(tag)), 16)

    def eth_call(self, to: bytes, data: bytes, tag: int | str = "latest", sender: bytes | None = None) -> bytes:
        """What a call returns. Raises RpcError with ``revert_data`` where it reverts."""
        request = {"to": to_data(to), "data": to_data(data)}
        if sender is not None:
            request["from"] = to_data(sender)
        return bytes.fromhex(self.call("eth_call", request, block_tag(tag))[2:])

    def send_raw(self, raw: bytes) -> str:
        """Hand over a signed transaction; its hash."""
        return str(self.call("eth_sendRawTransaction", to_data(raw)))

    def receipt(self, transaction_hash: str) -> dict[str, Any] | None:
        """A receipt, or None while the transaction is not in a block."""
        receipt = self.call("eth_getTransactionReceipt", transaction_hash)
        return receipt if isinstance(receipt, dict) else None

    # --- wire ---

    def _result(self, method: str, answer: Any) -> Any:
        if not isinstance(answer, dict) or ("result" not in answer and not isinstance(answer.get("error"), dict)):
            raise NodeUnreachable(f"{self.name}: {method} was not answered as JSON-RPC")
        if "error" in answer:
            error = answer["error"]
            raise RpcError(method, int(error.get("code", 0)), str(error.get("message", "")), error.get("data"))
        return answer["result"]

    def _post(self, body: Any) -> Any:
        _, content = self._exchange("POST", self._path, json.dumps(body).encode())
        try:
            return json.loads(content)
        except ValueError:
            raise NodeUnreachable(f"{self.name}: {self.url} does not speak JSON-RPC") from None

    def _exchange(self, verb: str, path: str, body: bytes | None) -> tuple[int, bytes]:
        """One request. A kept connection that the node has closed meanwhile is opened again, once."""
        for attempt in (0, 1):
            with self._lock:
                kept = self._idle.pop() if self._idle else None
            connection = kept or http.client.HTTPConnection(self._host, self._port, timeout=self._timeout)
            try:
                connection.request(verb, path, body, {"Content-Type": "application/json"} if body else {})
                response = connection.getresponse()
                content = response.read(RESPONSE_BYTES_MAX)
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                # only a connection that was closed before the node read anything may be tried again
                stale = isinstance(error, http.client.RemoteDisconnected | ConnectionResetError | BrokenPipeError)
                if kept is None or attempt or not stale:
                    raise NodeUnreachable(
                        f"{self.name} does not answer at {self.url}: {str(error) or type(error).__name__}",
                        "evmesh status shows which nodes run, evmesh restart NODE starts one again",
                    ) from error
            except BaseException:
                connection.close()  # interrupted half way: of no further use
                raise
            else:
                with self._lock:
                    self._idle.append(connection)
                return response.status, content
        raise AssertionError("unreachable")

    def close(self) -> None:
        """Close the kept connections; the next call opens a new one."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()


def block_tag(number: int | str) -> str:
    """A block parameter: a number as quantity, a tag as it is."""
    return to_quantity(number) if isinstance(number, int) else number


def _request(method: str, parameters: Sequence[Any], identity: int = 1) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": identity, "method": method, "params": list(parameters)}


T = TypeVar("T")


Ask = Callable[[Sequence[NodeClient], Callable[[NodeClient], Any]], list[Any]]
"""Puts one question to several nodes; a Failure stands in the place of an answer."""


def guarded(question: Callable[[NodeClient], Any]) -> Callable[[NodeClient], Any]:
    """The question, with a Failure as an answer."""

    def asked(client: NodeClient) -> Any:
        try:
            return question(client)
        except Failure as failure:
            return failure

    return asked


def ask_in_turn(clients: Sequence[NodeClient], question: Callable[[NodeClient], Any]) -> list[Any]:
    """``question(client)`` of one node after the other; a Failure stands in the place of its answer."""
    return [guarded(question)(client) for client in clients]


def ask_all(clients: Sequence[NodeClient], question: Callable[[NodeClient], Any]) -> list[Any]:
    """``question(client)`` of every node at the same time; a Failure stands in the place of its answer."""
    with ThreadPoolExecutor(max_workers=max(1, min(len(clients), 16))) as pool:
        return list(pool.map(guarded(question), clients))
