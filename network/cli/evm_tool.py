"""``evm run|t8n|statetest|blocktest``: geth's ``evm`` for tools that drive it. ``t8n`` also stands at the top."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, TextIO, TypeVar

import click

from network.cli.evm_run import run
from network.cli.evm_vectors import GethCommand, blocktest, statetest
from network.failures import Failure
from network.vectors.allocations import read_alloc
from network.vectors.fields import FieldError, FixtureError, mapping, member, number, parse_json
from network.vectors.files import read_file, read_stream
from network.vectors.networks import known_forks, network_named
from network.vectors.transition import NO_REWARD, Tracing, Transition, run_transition
from network.vectors.transition_input import (
    EXIT_CONFIG,
    EXIT_IO,
    EXIT_JSON,
    TransitionError,
    TransitionInput,
    read_environment,
    read_transactions,
)
from node.evm.spec import Spec
from node.primitives.scalars import Hash32

STDIN: Final = "stdin"
_STREAMS: Final = ("stdout", "stderr")

F = TypeVar("F", bound=Callable[..., Any])


class ToolFailure(Failure):
    """Ends with geth's exit code for the same trouble."""

    def __init__(self, exit_code: int, message: str) -> None:
        super().__init__(message)
        self.exit_code = exit_code


@click.group(
    epilog="""\b
Results are JSON, as geth's tool writes them; run has --json for a trace, statetest and blocktest for every case.

\b
Examples:
  evmesh evm run --code 6001600201 --json
  evmesh evm t8n --input.alloc alloc.json --input.env env.json --input.txs txs.json --state.fork Prague
  evmesh evm statetest add11.json
"""
)
def evm() -> None:
    """Run code, transitions and vectors with the flags of geth's evm tool."""


@click.command(
    cls=GethCommand,
    epilog="""\b
An input is a file name or stdin: one object with the members alloc, env, txs (or txsRlp). An output is a file name,
stdout, stderr, or empty. Transactions come as a JSON array, or as RLP in hex in a file that ends with .rlp.
There is no --json: everything is JSON.
Exit codes: 2 the block fails, 3 flags or fork do not fit, 4 a block hash is missing, 10 JSON, 11 files, 12 RLP.

\b
Examples:
  evmesh t8n --input.alloc alloc.json --input.env env.json --input.txs txs.json --state.fork Cancun
  evmesh t8n --input.alloc stdin --input.env stdin --input.txs stdin --output.result stdout --output.alloc stdout
  evmesh t8n --state.fork Osaka --trace --output.basedir out
""",
)
@click.option("--input.alloc", "alloc_name", default="alloc.json", show_default=True, help="Accounts before.")
@click.option("--input.env", "env_name", default="env.json", show_default=True, help="The block's surroundings.")
@click.option("--input.txs", "txs_name", default="txs.json", show_default=True, help="Transactions, JSON or .rlp.")
@click.option("--output.basedir", "base", default="", help="Folder of the output files; made if need be.")
@click.option("--output.alloc", "alloc_out", default="alloc.json", show_default=True, help="Accounts after.")
@click.option("--output.result", "result_out", default="result.json", show_default=True, help="Roots and receipts.")
@click.option("--output.body", "body_out", default="", help="The transactions' RLP, hex.")
@click.option("--state.fork", "fork", default="Prague", show_default=True, help="Whose rules.")
@click.option("--state.chainid", "chain_id", type=int, default=1, show_default=True, help="Chain id.")
@click.option("--state.reward", "reward", type=int, default=0, show_default=True, help="Wei for the block; -1: none.")
@click.option("--trace", is_flag=True, help="EIP-3155 lines into trace-N-HASH.jsonl.")
@click.option("--trace.memory", "memory", is_flag=True, help="With memory.")
@click.option("--trace.nomemory", "no_memory", is_flag=True, help="Without memory (the default).")
@click.option("--trace.nostack", "no_stack", is_flag=True, help="Without the stack.")
@click.option("--trace.returndata", "return_data", is_flag=True, help="With the return data.")
@click.option("--trace.noreturndata", "no_return_data", is_flag=True, help="Without the return data (the default).")
@click.option("--verbosity", type=int, default=0, hidden=True)
def t8n(
    alloc_name: str,
    env_name: str,
    txs_name: str,
    base: str,
    alloc_out: str,
    result_out: str,
    body_out: str,
    fork: str,
    chain_id: int,
    reward: int,
    trace: bool,
    memory: bool,
    no_memory: bool,
    no_stack: bool,
    return_data: bool,
    no_return_data: bool,
    verbosity: int,
) -> None:
    """Make a block out of accounts, surroundings and transactions: a state transition."""
    folder = Path(base)
    try:
        if reward < NO_REWARD:
            raise TransitionError(EXIT_CONFIG, f"--state.reward: {reward} is below -1")
        given = _read_input(alloc_name, env_name, txs_name, fork, chain_id)
        tracing = None
        if trace:
            folder.mkdir(parents=True, exist_ok=True)
            tracing = Tracing(
                _trace_files(folder), not no_stack, memory and not no_memory, return_data and not no_return_data
            )
        transition = run_transition(given, reward, tracing)
        folder.mkdir(parents=True, exist_ok=True)
        _write(transition, folder, {"alloc": alloc_out, "result": result_out, "body": body_out})
    except TransitionError as error:
        raise ToolFailure(error.exit_code, str(error)) from None
    except FieldError as error:
        raise ToolFailure(EXIT_JSON, str(error)) from None
    except FixtureError as error:
        raise ToolFailure(EXIT_IO, str(error)) from None
    except OSError as error:
        raise ToolFailure(EXIT_IO, f"{error.filename}: {error.strerror}") from None


def _read_input(alloc_name: str, env_name: str, txs_name: str, fork: str, chain_id: int) -> TransitionInput:
    """Raises FieldError, FixtureError, TransitionError."""
    if not 0 <= chain_id < 1 << 64:
        raise TransitionError(EXIT_CONFIG, f"--state.chainid: {chain_id} is not a number of 64 bits")
    piped: Mapping[str, Any] = {}
    if STDIN in (alloc_name, env_name, txs_name):
        piped = mapping(parse_json(read_stream(sys.stdin.buffer, STDIN)), STDIN)
    alloc = read_alloc(_input(alloc_name, "alloc", piped), "alloc")
    env = mapping(_input(env_name, "env", piped), "env")
    spec = _spec(fork, number(member(env, "currentNumber", "env"), "env.currentNumber", 64), env)
    environment = read_environment(env, spec)
    txs = piped.get("txsRlp") if txs_name == STDIN and piped.get("txsRlp") else _input(txs_name, "txs", piped)
    return TransitionInput(alloc, environment, read_transactions(txs, chain_id), spec, chain_id)


def _input(name: str, part: str, piped: Any) -> Any:
    if name == STDIN:
        return piped.get(part)
    content = read_file(Path(name))
    try:
        return parse_json(content)
    except FieldError as error:
        raise FieldError(name, error.why) from None


def _spec(fork: str, block_number: int, env: Any) -> Spec:
    network = network_named(fork)
    if network is None:
        raise TransitionError(EXIT_CONFIG, f"--state.fork: {fork} is not known; known are {', '.join(known_forks())}")
    timestamp = number(member(env, "currentTimestamp", "env"), "env.currentTimestamp", 64)
    return network.spec_at(block_number, timestamp, 0)


def _trace_files(folder: Path) -> Callable[[int, Hash32], TextIO]:
    return lambda index, tx_hash: (folder / f"trace-{index}-0x{tx_hash.hex()}.jsonl").open("w")


def _write(transition: Transition, folder: Path, where: dict[str, str]) -> None:
    """To files, or as one object to each stream."""
    parts: dict[str, Any] = {
        "alloc": transition.alloc_json(),
        "result": transition.result,
        "body": "0x" + transition.body.hex(),
    }
    streams: dict[str, dict[str, Any]] = {}
    for part, name in where.items():
        if name in _STREAMS:
            streams.setdefault(name, {})[part] = parts[part]
        elif name:
            (folder / name).write_text(json.dumps(parts[part], indent=1) + "\n")
    for name, content in streams.items():
        print(json.dumps(content, indent=2), file=sys.stdout if name == "stdout" else sys.stderr, flush=True)


for _command, _name in ((run, "run"), (t8n, "t8n"), (statetest, "statetest"), (blocktest, "blocktest")):
    evm.add_command(_command, _name)
