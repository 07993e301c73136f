"""``evm run``: a piece of code, once."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any, Final

import click

from network.cli.evm_vectors import GethCommand
from network.failures import BadInput
from network.vectors.allocations import Alloc, read_alloc
from network.vectors.fields import FieldError, FixtureError, address, data, mapping, number, parse_json
from network.vectors.files import read_file, read_stream
from network.vectors.networks import known_forks, network_named
from network.vectors.single_run import Ran, Run, failure_of, run_once, state_dump
from node.evm.spec import Spec
from node.evm.tracers.eip3155 import StructLines
from node.primitives.scalars import ZERO_ADDRESS, Address

DEFAULT_GAS: Final = "10000000000"
SENDER: Final = Address(b"sender".rjust(20, b"\x00"))
RECEIVER: Final = Address(b"receiver".rjust(20, b"\x00"))
DEFAULT_FORK: Final = "Osaka"


@click.command(
    cls=GethCommand,
    epilog="""\b
Prints what the code returned, or with --json one EIP-3155 line a step. There is no price of admission: all the gas
goes to the code. Exit code 0 also where the code fails: the error is printed.

\b
Examples:
  evmesh evm run --code 6001600201 --json
  evmesh evm run --code 60003560005260206000f3 --input 0x2a --statdump
  evmesh evm run --prestate genesis.json --receiver 0x1000000000000000000000000000000000000000 --dump
  evmesh evm run --codefile init.hex --create --fork Cancun
""",
)
@click.argument("codefile_argument", required=False, metavar="[CODE]")
@click.option("--code", help="Hex.")
@click.option("--codefile", help="A file with hex; - for standard input.")
@click.option("--input", "input_hex", default="", help="Call data, hex.")
@click.option("--inputfile", help="A file with call data in hex.")
@click.option("--gas", default=DEFAULT_GAS, show_default=True, help="Gas for the code.")
@click.option("--price", default="0", show_default=True, help="What GASPRICE says, wei.")
@click.option("--value", default="0", show_default=True, help="Wei that the sender sends along.")
@click.option("--sender", help="Address; default: the bytes of 'sender'.")
@click.option("--receiver", help="Address; default: the bytes of 'receiver'.")
@click.option("--create", is_flag=True, help="The code is init code.")
@click.option("--prestate", help="A genesis file: its accounts, its block.")
@click.option("--fork", "--state.fork", "fork", default=DEFAULT_FORK, show_default=True, help="Whose rules.")
@click.option("--json", "--trace", "as_json", is_flag=True, help="One EIP-3155 line a step on standard output.")
@click.option("--nostack", "--trace.nostack", "no_stack", is_flag=True, help="Steps without the stack.")
@click.option("--memory", "--trace.memory", "memory", is_flag=True, help="Steps with memory.")
@click.option("--nomemory", "--trace.nomemory", "no_memory", is_flag=True, help="Steps without memory (the default).")
@click.option("--returndata", "--trace.returndata", "return_data", is_flag=True, help="Steps with the return data.")
@click.option("--dump", is_flag=True, help="Print the accounts after it.")
@click.option("--statdump", is_flag=True, help="Print gas and time on standard error.")
def run(as_json: bool, dump: bool, statdump: bool, **flags: Any) -> None:
    """Run code, once."""
    try:
        asked = _asked(flags)
    except FieldError as error:
        raise BadInput(str(error)) from None
    except FixtureError as error:
        raise BadInput(str(error)) from None
    lines = None
    if as_json:
        lines = StructLines(
            sys.stdout,
            stack=not flags["no_stack"],
            memory=flags["memory"] and not flags["no_memory"],
            return_data=flags["return_data"],
        )
    began = time.perf_counter()
    ran = run_once(asked, lines)
    seconds = time.perf_counter() - began
    if lines is None:
        _tell(ran)
    if dump:
        print(json.dumps(state_dump(ran), indent=4), flush=True)
    if statdump:
        print(f"EVM gas used:    {ran.gas_used}\nexecution time:  {seconds * 1000:.3f}ms", file=sys.stderr, flush=True)


def _tell(ran: Ran) -> None:
    print("0x" + ran.outcome.output.hex(), flush=True)
    error = failure_of(ran.outcome)
    if error:
        print(f" error: {error}", flush=True)


def _asked(flags: dict[str, Any]) -> Run:
    """The flags as what to run. Raises FieldError, FixtureError, BadInput."""
    genesis: Any = {}
    alloc: Alloc = {}
    if flags["prestate"]:
        genesis = mapping(parse_json(read_file(Path(flags["prestate"]))), flags["prestate"])
        alloc = read_alloc(genesis.get("alloc") or {}, "alloc")
    gas = number(flags["gas"], "--gas", 64)
    config = mapping(genesis.get("config") or {}, "config")
    code = _code(flags)
    if code is None and not flags["prestate"]:
        raise BadInput("there is no code", "give --code, --codefile, or --prestate with the receiver's code")
    input_hex = _text_of(flags["inputfile"]) if flags["inputfile"] else flags["input_hex"]
    return Run(
        spec=_spec(flags["fork"]),
        alloc=alloc,
        code=code,
        data=data(input_hex, "--input"),
        sender=_account(flags, "sender", SENDER),
        receiver=_account(flags, "receiver", RECEIVER),
        create=flags["create"],
        gas=gas,
        gas_price=number(flags["price"], "--price"),
        value=number(flags["value"], "--value"),
        chain_id=number(config.get("chainId", 1), "config.chainId", 64),
        number=number(genesis.get("number") or 0, "number", 64),
        timestamp=number(genesis.get("timestamp") or 0, "timestamp", 64),
        gas_limit=number(genesis.get("gasLimit") or gas, "gasLimit", 64),
        coinbase=address(genesis["coinbase"], "coinbase") if genesis.get("coinbase") else ZERO_ADDRESS,
        base_fee=number(genesis.get("baseFeePerGas") or 0, "baseFeePerGas"),
        difficulty=number(genesis.get("difficulty") or 0, "difficulty"),
    )


def _account(flags: dict[str, Any], name: str, default: Address) -> Address:
    return address(flags[name], f"--{name}") if flags[name] else default


def _code(flags: dict[str, Any]) -> bytes | None:
    given = [flags[name] for name in ("code", "codefile", "codefile_argument") if flags[name] is not None]
    if len(given) > 1:
        raise BadInput("the code is given twice", "give one of --code, --codefile, CODE")
    if flags["codefile"] is not None:
        return data(_text_of(flags["codefile"]), flags["codefile"])
    return data(given[0], "--code") if given else None


def _text_of(name: str) -> str:
    content = read_stream(sys.stdin.buffer, "standard input") if name == "-" else read_file(Path(name))
    try:
        return "".join(content.decode("ascii").split())
    except UnicodeDecodeError:
        raise FieldError(name, "not hex") from None


def _spec(fork: str) -> Spec:
    network = network_named(fork)
    if network is None:
        raise BadInput(f"--fork: {fork} is not known", f"known are {', '.join(known_forks())}")
    return network.spec_at(0, 0, 0)
