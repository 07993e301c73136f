"""A node's outside without its inside, for the process tests: ready line, HTTP, signals, exit codes.

How it behaves stands in the file ``behaviour`` beside its node.toml: ``crash`` (exit 7 at once), ``silent``
(never ready), ``stubborn`` (ignores SIGTERM), else it serves.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
import tomllib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

HEADS = {"n1": 6}
"""n1 is a block ahead."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        body = json.dumps([answer(one) for one in request] if isinstance(request, list) else answer(request)).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


def answer(request):
    head = HEADS.get(threading.main_thread().name, 5)
    number = request["params"][0] if request.get("params") else "latest"
    number = number if number.startswith("0x") else hex(head)
    if int(number, 16) > head:
        return {"jsonrpc": "2.0", "id": request["id"], "result": None}
    block = {"number": number, "hash": "0x" + "aa" * 32, "stateRoot": "0x" + "bb" * 32}
    results = {"eth_blockNumber": hex(head), "net_peerCount": "0x1", "eth_getBlockByNumber": block}
    return {"jsonrpc": "2.0", "id": request["id"], "result": results.get(request["method"])}


def run(config_path: Path) -> int:
    config = tomllib.loads(config_path.read_text())
    behaviour_file = config_path.with_name("behaviour")
    behaviour = behaviour_file.read_text() if behaviour_file.exists() else ""
    name = config["node"]["name"]
    print(f"{name} starts", file=sys.stderr, flush=True)
    if behaviour == "crash":
        print("the database is not mine", file=sys.stderr, flush=True)
        return 7
    threading.main_thread().name = name
    stop = threading.Event()
    signal.signal(signal.SIGTERM, signal.SIG_IGN if behaviour == "stubborn" else lambda *_: stop.set())
    if behaviour == "silent":
        time.sleep(60)
    server = ThreadingHTTPServer((config["rpc"]["host"], config["rpc"]["port"]), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"ready http=http://127.0.0.1:{config['rpc']['port']} p2p={config['p2p']['listen']} id=00", flush=True)
    while not stop.wait(0.2):  # a signal that another thread takes does not wake this one
        pass
    print(f"{name} stops {os.getpid()}", file=sys.stderr, flush=True)
    return 0
