"""``python -m tests.benchmarks.worst_cases``: how slow can code make the EVM? Mgas a second of CPU time, slowest first.

Every opcode in a loop with the operands that cost it most, and programs that only an enemy writes: deep recursion,
memory as far as gas pays, floods of JUMPDEST, slots and accounts that nobody has touched (read through a real trie
of 20,000 leaves). Precompiles have a list of their own: they are libraries, not the EVM.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from typing import Final

from node.crypto.hashes import keccak256
from node.evm.native import choice
from node.evm.opcodes import Opcode as Op
from node.evm.outcome import Outcome
from node.forks import osaka
from node.primitives.scalars import Address
from node.state.genesis_state import GenesisAccount, state_from_alloc
from node.state.journal import JournaledState
from node.state.view import TrieView
from tests.unit.evm.program import OTHER, TARGET, World, call_operation, operation, program, push, store_code

ACCOUNTS: Final = 20_000
BIG: Final = 2**256 - 189
ODD: Final = 2**255 + 2**128 + 12345
HEAVY: Final = Address(b"\x4e" * 20)
CODE_BYTES: Final = 24_000
OPERANDS: Final[dict[str, tuple[int, ...]]] = {
    "BYTE": (3, ODD),
    "SHL": (200, ODD),
    "SHR": (200, ODD),
    "SAR": (200, ODD),
    "SIGNEXTEND": (11, ODD),
    "BLOCKHASH": (999,),
    "EXP": (BIG, BIG),
    "MLOAD": (1,),
    "SLOAD": (1,),
    "BALANCE": (int.from_bytes(HEAVY, "big"),),
    "EXTCODESIZE": (int.from_bytes(HEAVY, "big"),),
    "EXTCODEHASH": (int.from_bytes(HEAVY, "big"),),
    "KECCAK256": (0, 136),
}
"""Of opcodes that give a word, where large odd numbers are not the most expensive ones."""
CREATES: Final = ("CREATE", "CREATE2")


def looped(body: bytes, before: bytes = b"") -> bytes:
    """``body`` as often as a contract holds it, for ever; it must leave the stack as it was."""
    start = len(before)
    again = program(push(start, 2), Op.JUMP)
    return before + bytes((Op.JUMPDEST,)) + body * ((CODE_BYTES - start - len(again)) // len(body)) + again


def on_operands(opcode: int, *operands: int) -> bytes:
    """The operands lie at the bottom of the stack and are copied for each turn; the first one comes on top."""
    count = len(operands)
    before = b"".join(push(operand) for operand in reversed(operands))
    copies = bytes((Op.DUP1 + count - 1,)) * count if count else b""
    return looped(program(copies, opcode, Op.POP), before)


def counting(body: bytes) -> bytes:
    """``body`` finds a number on the stack, another one each turn, and leaves it there."""
    return looped(program(body, push(1), Op.ADD), push(0))


def opcode_programs() -> Iterator[tuple[str, bytes]]:
    """(name, code) of every opcode that can be repeated."""
    for row in osaka.SPEC.instructions.table:
        if row is None or row.pushes != 1 or row.pops > 3 or row.name in CREATES or row.name.startswith("PUSH"):
            continue
        operands = OPERANDS.get(row.name, (BIG, BIG - 1, ODD)[-row.pops :] if row.pops else ())
        yield row.name, on_operands(Op[row.name], *operands)
    yield "DIV by 192 bits", on_operands(Op.DIV, BIG, 2**191 + 7)
    yield "MOD by 64 bits", on_operands(Op.MOD, BIG, 2**63 + 9)
    yield "SDIV by 128 bits", on_operands(Op.SDIV, BIG, 2**127 + 7)
    yield "EXP of 1 byte", on_operands(Op.EXP, BIG, 255)
    yield "POP, DUP16, SWAP16", looped(program(Op.DUP16, Op.SWAP16, Op.POP), push(1) * 17)
    yield "PUSH32", looped(program(push(BIG, 32), Op.POP))
    yield "JUMPDEST", looped(bytes((Op.JUMPDEST,)))
    yield "JUMP", jumps()
    yield "JUMPI, not taken", looped(operation(Op.JUMPI, 0, 0))
    answer = program(call_operation(Op.STATICCALL, 4, data=(0, 4096)), Op.POP)
    yield "RETURNDATACOPY of 4096", looped(operation(Op.RETURNDATACOPY, 0, 0, 4096), answer)
    for size in (32, 136, 4096, 65_536):
        yield f"KECCAK256 of {size}", on_operands(Op.KECCAK256, 0, size)
        yield f"LOG4 of {size}", looped(program(push(1) * 4, push(size), push(0), Op.LOG4))
        yield f"MCOPY of {size}", looped(program(push(size), push(1), push(0), Op.MCOPY))
        for name in ("CALLDATACOPY", "CODECOPY"):
            yield f"{name} of {size}", looped(program(push(size), push(0), push(0), Op[name]))
        yield (
            f"EXTCODECOPY of {size}",
            looped(program(push(size), push(0), push(0), push(int.from_bytes(HEAVY, "big")), Op.EXTCODECOPY)),
        )
    yield "MSTORE", looped(program(push(1), push(1), Op.MSTORE))
    yield "MSTORE8", looped(program(push(1), push(1), Op.MSTORE8))
    yield "SSTORE warm, back and forth", looped(program(*(operation(Op.SSTORE, 1, value) for value in (7, 0))))
    yield "TLOAD", counting(program(Op.DUP1, Op.TLOAD, Op.POP))
    yield "TSTORE", counting(program(Op.DUP1, Op.DUP1, Op.TSTORE))
    yield "SLOAD cold", counting(program(Op.DUP1, Op.SLOAD, Op.POP))
    yield "SSTORE cold", counting(program(push(0), Op.DUP2, Op.SSTORE))
    for name in ("BALANCE", "EXTCODESIZE", "EXTCODEHASH"):
        yield f"{name} cold", counting(program(Op.DUP1, Op[name], Op.POP))


def jumps() -> bytes:
    """From one JUMPDEST to the next, all over the code."""
    code = b""
    while len(code) < CODE_BYTES - 10:
        code += program(Op.JUMPDEST, push(len(code) + 5, 2), Op.JUMP)
    return code + program(Op.JUMPDEST, push(0), Op.JUMP)


def hostile_programs() -> Iterator[tuple[str, bytes]]:
    """(name, code) of what only an enemy writes."""
    me = int.from_bytes(TARGET, "big")
    yield "recursion by CALL to depth 1024", program(call_operation(Op.CALL, me, gas=2**62), push(0), Op.JUMP)
    yield "recursion by DELEGATECALL", program(call_operation(Op.DELEGATECALL, me, gas=2**62), push(0), Op.JUMP)
    yield "calls of an account without code", looped(program(call_operation(Op.CALL, 0x99), Op.POP))
    yield "calls that halt at once", looped(program(call_operation(Op.STATICCALL, OTHER, gas=30), Op.POP))
    yield "calls of ever new accounts", counting(program(push(0) * 4, Op.DUP1 + 4, push(100), Op.STATICCALL, Op.POP))
    yield "memory as far as gas pays", looped(program(Op.DUP1, Op.DUP1, Op.MSTORE, push(32 * 16), Op.ADD), push(0))
    yield "64 KB for each call", looped(program(call_operation(Op.CALL, OTHER, gas=40_000, output=(0, 65_536)), Op.POP))
    yield (
        "init code of 48 KB, all JUMPDEST",
        looped(program(operation(Op.CREATE, 0, 0, 49_152), Op.POP), store_code(b"\x00" + b"\x5b" * 31)),
    )
    yield "creations of contracts", looped(program(operation(Op.CREATE, 0, 0, 12), Op.POP), store_code(DEPLOYING))
    yield "creations under ever new salts", counting(program(Op.DUP1, push(3), push(0), push(0), Op.CREATE2, Op.POP))
    yield "CALLCODE of nothing", looped(program(call_operation(Op.CALLCODE, 0x99), Op.POP))
    yield "logs without data", looped(program(push(0), push(0), Op.LOG0))


DEPLOYING: Final = bytes.fromhex("6001600055600a5ff3000000")
PRECOMPILES: Final[dict[str, tuple[int, bytes]]] = {
    "identity": (4, bytes(32)),
    "sha256": (2, bytes(32)),
    "ripemd160": (3, bytes(32)),
    "ecrecover": (1, keccak256(b"m") + (27).to_bytes(32, "big") + b"\x01" * 64),
    "modexp of 32 bytes": (5, b"".join(n.to_bytes(32, "big") for n in (32, 32, 32, BIG, BIG, BIG - 2))),
    "modexp of 1024 bytes": (
        5,
        b"".join(n.to_bytes(32, "big") for n in (1024, 32, 1024)) + b"\xff" * 1024 + b"\xff" * 32 + b"\xfd" * 1024,
    ),
    "bn254 add": (6, b"".join(n.to_bytes(32, "big") for n in (1, 2, 1, 2))),
    "bn254 mul": (7, b"".join(n.to_bytes(32, "big") for n in (1, 2, BIG))),
    "bn254 pairing of nothing": (8, b""),
    "blake2f": (9, (1000).to_bytes(4, "big") + bytes(208) + b"\x01"),
}


def precompile_programs() -> Iterator[tuple[str, bytes]]:
    """(name, code) that calls one again and again; only input that is paid in full counts."""
    for name, (number, data) in PRECOMPILES.items():
        call = call_operation(Op.STATICCALL, number, gas=10_000_000, data=(0, len(data)))
        yield name, looped(program(call, Op.POP), store_code(data) if data else b"")


def world(machine: str) -> World:
    """A trie of many accounts and slots; TARGET runs the program."""
    alloc = {Address(number.to_bytes(20, "big")): GenesisAccount(balance=1) for number in range(1, ACCOUNTS)}
    alloc[TARGET] = GenesisAccount(nonce=1, balance=10**18, storage=dict.fromkeys(range(1, ACCOUNTS), 7))
    alloc[HEAVY] = GenesisAccount(nonce=1, code=b"\x5b" * 24_576)
    alloc[OTHER] = GenesisAccount(nonce=1, code=b"\xfe")
    state = state_from_alloc(alloc)
    view = TrieView(state.root, state.nodes.get, state.codes.get)
    vm = choice.machine(choice.Evm(machine), lambda line: print(line, file=sys.stderr))
    return World(osaka.SPEC, vm, JournaledState(view))


def measure(within: World, code: bytes, gas: int) -> tuple[float, Outcome]:
    """(Mgas a second, how it ended): all the gas is used up, or the code has ended."""
    state = JournaledState(within.state.view)
    one = World(within.spec, within.machine, state)
    one.deploy(TARGET, code)
    one.begin()
    began = time.thread_time()
    outcome = one.run(code, gas=gas)
    return (gas - outcome.gas_left) / max(time.thread_time() - began, 1e-6) / 1e6, outcome


def main() -> int:
    """Print the lists. Exit code 1 where something is slower than ``--least``."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.worst_cases", description=__doc__)
    parser.add_argument("--evm", choices=("native", "plain"), default="native")
    parser.add_argument("--gas", type=int, default=16_000_000)
    parser.add_argument("--rounds", type=int, default=3, help="the best of so many counts")
    parser.add_argument("--least", type=float, default=0.0, metavar="MGAS", help="a second, for opcodes and programs")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    within = world(given.evm)
    lists = {
        "opcodes": dict(opcode_programs()),
        "programs": dict(hostile_programs()),
        "precompiles": dict(precompile_programs()),
    }
    told: dict[str, dict[str, float]] = {}
    for title, programs in lists.items():
        rates = {
            name: round(max(measure(within, code, given.gas)[0] for _ in range(given.rounds)), 1)
            for name, code in programs.items()
        }
        told[title] = dict(sorted(rates.items(), key=lambda item: item[1]))
        if not given.json:
            print(f"{title} ({given.evm}), Mgas/s")
            for name, rate in told[title].items():
                print(f"{rate:>10.1f}  {name}")
    if given.json:
        print(json.dumps({"evm": given.evm, "gas": given.gas, **told}, indent=1))
    slow = [name for title in ("opcodes", "programs") for name, rate in told[title].items() if rate < given.least]
    if slow:
        print(f"below {given.least} Mgas/s: {', '.join(slow)}", file=sys.stderr)
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
