"""Requests for the fuzz campaign (tests/rpc_fuzz.py): good ones by the method table, recorded ones, all bent."""

from __future__ import annotations

import copy
import json
import random
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from node.rpc.methods import combined
from node.rpc.service import TABLES

RECORDED: Final = Path(__file__).resolve().parents[2] / "shared" / "rpc-compat" / "tests.tar.xz"
SLOW: Final = ("eth_sendRawTransactionSync", "evm_mine", "anvil_mine", "hardhat_mine")
"""They wait for blocks by design; asked rarely."""
BACKWARD: Final = ("evm_revert", "anvil_revert")
ADDRESSES: Final = (
    "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266",
    "0x70997970c51812dc3a010c7d01b50e0d17dc79c8",
    "0x0000000000000000000000000000000000000001",
    "0x0000000000000000000000000000000000000005",
    "0x00000000000000000000000000000000005e7000",
    "0x4e59b44847b379578588920ca78fbf26c0b4956c",
    "0x" + "00" * 20,
    "0x" + "ff" * 20,
)
CODES: Final = (
    "0x",
    "0x00",
    "0xfe",
    "0x5b5f56",
    "0x5a5f5260205ff3",
    "0x5f355f5260205ffd",
    "0xef0100" + "11" * 20,
    "0x6020600060006000600060055af1",
)
MANY_BELOW_BYTES: Final = 3_000
"""Only a short request has its lists repeated: at most some 6 MB come out."""
TAGS: Final = ("latest", "earliest", "pending", "safe", "finalized")
TRACERS: Final = ("callTracer", "prestateTracer", "4byteTracer", "noTracer", "")


class Maker:
    """Requests from one stream of chance."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.methods = combined(TABLES)
        self.names = sorted(self.methods)
        self.good = list(recorded())
        self.filters = ["0x1"]
        """Ids that the node gave."""

    # --- values ---

    def one(self, *values: Any) -> Any:
        return self.chance.choice(values)

    def hexadecimal(self, size: int) -> str:
        return "0x" + self.chance.randbytes(size).hex()

    def quantity(self) -> Any:
        top = self.one(2, 100, 2**16, 2**24, 2**32, 2**63, 2**64, 2**128, 2**256, 2**300)
        return hex(self.chance.randrange(top))

    def gas(self) -> str:
        return hex(self.chance.randrange(self.one(1, 21_000, 50_000, 500_000)))

    def address(self) -> str:
        return self.one(*ADDRESSES, self.hexadecimal(20))

    def block(self) -> Any:
        one = self.one(*TAGS, hex(self.chance.randrange(8)), self.hexadecimal(32))
        return self.one(
            one, one, one, {"blockNumber": one}, {"blockHash": one, "requireCanonical": self.one(True, False)}
        )

    def junk(self, depth: int = 3) -> Any:
        kind = self.chance.randrange(12 if depth else 9)
        if kind == 9:
            return [self.junk(depth - 1) for _ in range(self.chance.randrange(4))]
        if kind >= 10:
            return {
                self.one("a", "to", "data", "", "é", "blockHash"): self.junk(depth - 1)
                for _ in range(self.chance.randrange(4))
            }
        return (
            None,
            self.one(True, False),
            self.chance.randrange(-(2**63), 2**64),
            self.one(0.5, -0.0, 1e308, 1e-320, 5),
            self.one("", "0x", "0X1", "0x0g", "x", "latest", "\u0000", "é😀", "0x" + "0" * 5_000, "\\u202e", "null"),
            self.hexadecimal(self.one(0, 1, 19, 20, 21, 31, 32, 33, 64)),
            self.quantity(),
            self.address(),
            self.block() if depth else "latest",
        )[kind]

    def call(self) -> dict[str, Any]:
        made = {
            "from": self.address(),
            "to": self.address(),
            "gas": self.gas(),
            "value": self.one("0x0", "0x1", self.quantity()),
            "input": self.one("0x", "0x70a08231", *CODES, self.hexadecimal(self.chance.randrange(200))),
            "data": self.one(None, "0x"),
            "nonce": self.quantity(),
            "gasPrice": self.one(None, self.quantity()),
            "maxFeePerGas": self.one(None, self.quantity()),
            "maxPriorityFeePerGas": self.one(None, self.quantity()),
            "chainId": self.one("0x7a69", self.quantity()),
            "accessList": [{"address": self.address(), "storageKeys": [self.hexadecimal(32)]}],
            "blobVersionedHashes": self.one(None, [], [self.one("0x01", "0x02") + self.hexadecimal(31)[2:]]),
            "maxFeePerBlobGas": self.one(None, self.quantity()),
            "authorizationList": self.one(
                None,
                [],
                [
                    {
                        "chainId": "0x0",
                        "address": self.address(),
                        "nonce": "0x0",
                        "yParity": "0x1",
                        "r": self.quantity(),
                        "s": self.quantity(),
                    }
                ],
            ),
        }
        return {key: value for key, value in made.items() if self.chance.random() < 0.5}

    def state_overrides(self) -> dict[str, Any]:
        def account() -> dict[str, Any]:
            made = {
                "balance": self.quantity(),
                "nonce": self.quantity(),
                "code": self.one(*CODES),
                "state": {self.hexadecimal(32): self.hexadecimal(32)},
                "stateDiff": {self.hexadecimal(32): self.hexadecimal(32)},
                "movePrecompileToAddress": self.address(),
            }
            return {key: value for key, value in made.items() if self.chance.random() < 0.35}

        return {self.address(): account() for _ in range(self.chance.randrange(3))}

    def block_overrides(self) -> dict[str, Any]:
        made = {
            "number": self.one(hex(self.chance.randrange(1, 400)), self.quantity()),
            "time": self.one(hex(2_000_000_000 + self.chance.randrange(400)), self.quantity()),
            "gasLimit": self.one("0x1c9c380", self.quantity()),
            "feeRecipient": self.address(),
            "prevRandao": self.hexadecimal(32),
            "baseFeePerGas": self.quantity(),
            "blobBaseFee": self.quantity(),
            "difficulty": self.quantity(),
            "withdrawals": [
                {"index": "0x1", "validatorIndex": "0x1", "address": self.address(), "amount": self.quantity()}
            ],
            "beaconRoot": self.hexadecimal(32),
        }
        return {key: value for key, value in made.items() if self.chance.random() < 0.3}

    def simulation(self) -> dict[str, Any]:
        def block() -> dict[str, Any]:
            return {
                "blockOverrides": self.block_overrides(),
                "stateOverrides": self.state_overrides(),
                "calls": [self.call() for _ in range(self.chance.randrange(3))],
            }

        return {
            "blockStateCalls": [block() for _ in range(self.chance.randrange(4))],
            **{name: self.one(True, False) for name in ("validation", "traceTransfers", "returnFullTransactions")},
        }

    def logs(self) -> dict[str, Any]:
        made = {
            "fromBlock": self.one(*TAGS, "0x0", self.quantity()),
            "toBlock": self.one(*TAGS, "0x1", self.quantity()),
            "blockHash": self.hexadecimal(32),
            "address": self.one(self.address(), [self.address()], []),
            "topics": self.one([], [None], [self.hexadecimal(32)], [[self.hexadecimal(32), None]], [[]] * 5),
        }
        return {key: value for key, value in made.items() if self.chance.random() < 0.4}

    def trace(self) -> dict[str, Any]:
        made = {
            "tracer": self.one(*TRACERS),
            "tracerConfig": self.one({}, {"diffMode": True}, {"withLog": True, "onlyTopCall": True}),
            "timeout": self.one("1s", "100ms", "-1s", "9" * 60 + "h"),
            "limit": self.one(1, 0, -1, "0x1"),
            "enableMemory": True,
            "stateOverrides": self.state_overrides(),
            "blockOverrides": self.block_overrides(),
            "txIndex": self.one("0x0", "0x5"),
        }
        return {key: value for key, value in made.items() if self.chance.random() < 0.35}

    def for_parameter(self, method: str, parameter: Any) -> Any:
        """A value that suits what reads it, by the reader's name."""
        if method.startswith("eth_getFilter") or method == "eth_uninstallFilter":
            return self.one(*self.filters[-8:])
        made = {
            "address": self.address,
            "hash32": lambda: self.hexadecimal(32),
            "boolean": lambda: self.one(True, False),
            "quantity64": lambda: hex(self.chance.randrange(self.one(2, 10, 2**64))),
            "data": lambda: self.one(*CODES, self.hexadecimal(self.chance.randrange(150))),
            "block_number": lambda: self.one(*TAGS, hex(self.chance.randrange(6))),
            "block_id": self.block,
            "storage_key": lambda: self.one("0x0", self.hexadecimal(32)),
            "storage_keys": lambda: [self.one("0x0", self.hexadecimal(32))],
            "call_request": self.call,
            "state_overrides": self.state_overrides,
            "block_overrides": self.block_overrides,
            "log_criteria": self.logs,
            "simulation_request": self.simulation,
            "trace_config": self.trace,
            "call_trace_config": self.trace,
            "percentiles": lambda: [1, 50.5, 99],
        }.get(getattr(parameter.parser, "__name__", ""), self.quantity)
        return made()

    # --- requests ---

    def request(self) -> Any:
        """One request or batch, as a JSON value."""
        if self.chance.random() < 0.03:
            return [self.single() for _ in range(self.chance.randrange(6))]
        return self.single()

    def single(self) -> Any:
        made: dict[str, Any] = {"jsonrpc": "2.0", "id": self.chance.randrange(2**31)}
        if self.good and self.chance.random() < 0.3:
            recording = copy.deepcopy(self.one(*self.good))
            made |= {"method": recording["method"], "params": recording.get("params", [])}
        else:
            name = self.one(*self.names)
            while name in (*SLOW, *BACKWARD) and self.chance.random() < 0.98:
                name = self.one(*self.names)
            parameters = self.methods[name].parameters
            made |= {"method": name, "params": [self.for_parameter(name, one) for one in parameters]}
            if self.chance.random() < 0.3:
                del made["params"][self.chance.randrange(len(parameters) + 1) :]
        for _ in range(self.one(0, 0, 1, 1, 2, 4)):
            self.bend(made)
        return made

    def bend(self, made: dict[str, Any]) -> None:
        """Change one thing somewhere below the params; rarely in the envelope."""
        if self.chance.random() < 0.08:
            made[self.one("jsonrpc", "id", "method", "params", "more")] = self.junk()
            return
        places = [*([(made, "params")] if "params" in made else []), *_places(made.get("params"))] or [(made, "method")]
        holder, key = self.one(*places)
        if key not in holder and isinstance(holder, dict):
            return
        kind = self.chance.randrange(6)
        if kind == 0 and isinstance(holder, dict):
            holder.pop(key, None)
        elif kind == 1 and isinstance(holder, list):
            holder.insert(key, self.junk())
        elif kind == 2 and isinstance(holder[key], str):
            text = holder[key]
            at = self.chance.randrange(len(text) + 1)
            holder[key] = (
                text[:at]
                + self.one("0", "g", " ", "x", "\u0000", "f" * 64, "é")
                + text[at + self.chance.randrange(2) :]
            )
        elif kind == 3 and isinstance(holder[key], list) and len(json.dumps(made)) < MANY_BELOW_BYTES:
            holder[key] = holder[key] * self.one(2, 50, 2_000)
        else:
            holder[key] = self.junk()

    def body(self) -> tuple[bytes, Any]:
        """The bytes of a request, and the JSON that they say; None where they were damaged."""
        made = self.request()
        raw = json.dumps(made).encode("utf-8", "replace")
        if self.chance.random() < 0.05:
            damaged = bytearray(raw)
            for _ in range(self.chance.randrange(1, 4)):
                damaged[self.chance.randrange(len(damaged))] = self.chance.randrange(256)
            return bytes(damaged[: self.chance.randrange(1, len(damaged) + 1)]), None
        return raw, made

    def wire(self) -> bytes:
        """Something that is nearly HTTP."""
        body = b'{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}'
        lines = [
            self.one(
                b"POST / HTTP/1.1",
                b"POST / HTTP/1.0",
                b"GET /health HTTP/1.1",
                b"POST /x HTTP/1.1",
                b"OPTIONS * HTTP/1.1",
                b"\xff",
                b"PRI * HTTP/2.0",
            ),
            self.one(b"Host: localhost", b"Host: evil.example", b"Host:", b"host:localhost", b"Host: [::1"),
            self.one(
                b"Content-Length: %d" % len(body),
                b"Content-Length: -1",
                b"Content-Length: 99999999999999",
                b"Transfer-Encoding: chunked",
                b"Content-Length: 3",
            ),
            *(
                self.one(
                    b"Connection: close",
                    b"Origin: null",
                    b"Expect: 100-continue",
                    b"A" * 9_000 + b": x",
                    b"X: \x00",
                    b" folded",
                    b"Content-Encoding: gzip",
                    b"Upgrade: websocket",
                )
                for _ in range(self.chance.randrange(3))
            ),
        ]
        raw = bytearray(self.one(b"\r\n", b"\r\n", b"\r\n", b"\n").join(lines) + b"\r\n\r\n" + body)
        for _ in range(self.chance.randrange(3)):
            raw[self.chance.randrange(len(raw))] = self.chance.randrange(256)
        return bytes(raw)


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """(holder, key) of everything inside."""
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        yield from _places(value[key])


def recorded() -> Iterator[dict[str, Any]]:
    """Requests of the execution-apis, where they lie beside the repository."""
    if not RECORDED.is_file():
        return
    with tarfile.open(RECORDED) as archive:
        for member in archive:
            stream = archive.extractfile(member) if member.isfile() else None
            for line in stream.read().split(b"\n") if stream else ():
                if line.startswith(b">> ") and len(line) < 20_000:
                    yield json.loads(line[3:])
