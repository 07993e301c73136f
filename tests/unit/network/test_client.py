"""The JSON-RPC client against small real HTTP servers, well and badly behaved."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from network.client import NodeClient, NodeUnreachable, RpcError, ask_all
from network.failures import BadInput, Failure


@pytest.fixture
def serve():
    servers = []

    def start(reply, close=False):
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                content = reply(request)
                body = content if isinstance(content, bytes) else json.dumps(content).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
                self.close_connection = close

            def do_GET(self):
                self.send_response(200 if self.path == "/health" else 404)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *arguments):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(server)
        return NodeClient(f"http://127.0.0.1:{server.server_address[1]}", "n0")

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def result(value):
    return lambda request: {"jsonrpc": "2.0", "id": request["id"], "result": value}


def test_calls(serve):
    client = serve(result("0x2a"))
    assert client.block_number() == 42
    assert client.peer_count() == 42
    assert client.balance(b"\x01" * 20) == 42
    assert client.healthy()
    client.close()


def test_a_kept_connection_that_the_node_closed_is_opened_again(serve):
    client = serve(result("0x1"), close=True)
    assert [client.block_number() for _ in range(3)] == [1, 1, 1]
    client.close()


def test_errors_carry_code_and_revert_data(serve):
    error = {"code": 3, "message": "execution reverted", "data": "0x08c379a0"}
    client = serve(lambda request: {"jsonrpc": "2.0", "id": 1, "error": error})
    with pytest.raises(RpcError) as caught:
        client.call("eth_call")
    assert (caught.value.code, caught.value.revert_data) == (3, bytes.fromhex("08c379a0"))
    client.close()
    client = serve(lambda request: {"jsonrpc": "2.0", "id": 1, "error": {"code": -32000, "message": "nonce too low"}})
    with pytest.raises(RpcError, match="nonce too low") as caught:
        client.call("eth_sendRawTransaction")
    assert caught.value.revert_data is None
    client.close()


def test_batches_are_put_in_order(serve):
    client = serve(lambda batch: [{"id": one["id"], "result": one["params"][0]} for one in reversed(batch)])
    assert client.batch([("m", [1]), ("m", [2]), ("m", [3])]) == [1, 2, 3]
    assert client.batch([]) == []
    client.close()


def test_an_error_in_a_batch(serve):
    def reply(batch):
        return [
            {"id": 0, "result": 1},
            {"id": 1, "error": {"code": -32602, "message": "bad"}},
        ]

    client = serve(reply)
    outcomes = client.batch_outcomes([("a", []), ("b", [])])
    assert outcomes[0] == 1
    assert outcomes[1].code == -32602
    with pytest.raises(RpcError, match="bad"):
        client.batch([("a", []), ("b", [])])
    client.close()


@pytest.mark.parametrize("content", [b"<html>", b"[]", b"5", b"{}", b'{"error": 5}'])
def test_answers_that_are_no_json_rpc(serve, content):
    client = serve(lambda request: content)
    with pytest.raises(NodeUnreachable):
        client.call("eth_chainId")
    client.close()


def test_nobody_there(serve):
    client = NodeClient("http://127.0.0.1:9", "n7")
    with pytest.raises(NodeUnreachable, match="n7 does not answer"):
        client.block_number()
    assert not client.healthy()


@pytest.mark.parametrize("url", ["https://x", "ftp://x", "x", "http://"])
def test_urls(url):
    with pytest.raises(BadInput):
        NodeClient(url)


def test_asking_all_keeps_failures_in_place(serve):
    good, gone = serve(result("0x1")), NodeClient("http://127.0.0.1:9")
    answers = ask_all([good, gone], lambda client: client.block_number())
    assert answers[0] == 1
    assert isinstance(answers[1], Failure)
    good.close()
