"""``python -m tests.differential.native_bytes --seeds A..B``: codes of random bytes on plain and on another machine.

Where the campaign's programs are made to get somewhere, these are made to break: any byte may follow any other,
operands are edges, gas runs out everywhere. A crash of the process is a finding, and so is any difference: exit code 1.
With EVMESH_NATIVE_GUARDS=1 a crash is also what reaches beyond an area of the machine's memory by a byte.
"""

from __future__ import annotations

import argparse
import random
import sys

from node.evm.interpreter import Interpreter
from node.evm.machine import VirtualMachine
from node.evm.opcodes import Opcode
from node.forks.schedule import SPECS_BY_NAME
from tests.differential.comparing import MACHINES
from tests.unit.evm.program import OTHER, TARGET, World, push

EDGES = (0, 1, 2, 31, 32, 33, 64, 255, 256, 1023, 1024, 2**32 - 1, 2**32, 2**63, 2**64 - 1, 2**128, 2**255, 2**256 - 1)
CALLS = (0xF0, 0xF1, 0xF2, 0xF4, 0xF5, 0xFA)
SPECS = tuple(SPECS_BY_NAME.values())
SEEDS_A_SPEC = 100
"""Neighbours share a fork: its tables are laid out when it changes."""
LENGTHS = (3, 10, 40, 120)
PUSHES = tuple(map(push, (*EDGES, int.from_bytes(TARGET, "big"), int.from_bytes(OTHER, "big"))))
JUMPS = (Opcode.JUMP, Opcode.JUMPI)
CALLED = tuple(bytes((Opcode.GAS, call)) for call in CALLS)
LANDINGS = (bytes((Opcode.JUMPDEST,)), bytes((Opcode.JUMPDEST,)), bytes((Opcode.JUMPDEST,)) * 50)
BYTES = tuple(bytes((value,)) for value in range(256))


def random_code(chance: random.Random) -> bytes:
    """Up to a few hundred bytes."""
    drawn = chance.random  # several times as fast as ``choice``, and here that is most of a program's time
    pieces: list[bytes] = []
    for _ in range(LENGTHS[int(drawn() * 4)]):
        kind = drawn()
        if kind < 0.45:
            pieces.append(PUSHES[int(drawn() * len(PUSHES))])
        elif kind < 0.5:
            pieces.append(bytes((Opcode.PUSH1, int(drawn() * 200), JUMPS[int(drawn() * 2)])))
        elif kind < 0.6:
            pieces.append(CALLED[int(drawn() * len(CALLED))])
        elif kind < 0.7:
            pieces.append(LANDINGS[int(drawn() * 3)])
        else:
            pieces.append(BYTES[int(drawn() * 256)])
    return b"".join(pieces)


def answers(vm: VirtualMachine, seed: int) -> list[object]:
    """What one seed's message leaves on a machine."""
    chance = random.Random(seed)
    world = World(SPECS[seed // SEEDS_A_SPEC % len(SPECS)], machine=vm)
    code = random_code(chance)
    world.deploy(OTHER, random_code(chance), balance=chance.choice((0, 5)))
    world.deploy(TARGET, code, balance=chance.choice((0, 5)), nonce=chance.choice((1, 2**64 - 1)))
    world.begin()
    gas = chance.choice((500, 5_000, 60_000, 1_000_000))
    data = chance.randbytes(chance.choice((0, 3, 32, 100)))
    outcome = (
        world.create(code, gas=gas, value=chance.choice((0, 1)))
        if chance.random() < 0.2
        else world.run(code, data, gas, chance.choice((0, 1)), static=chance.random() < 0.1)
    )
    state = world.state
    accounts = [
        (address, found and (found.nonce, found.balance, found.code_hash, found.slots, found.storage_cleared))
        for address, found in sorted(state.diff().accounts.items())
    ]
    return [outcome, accounts, state.logs, state.refund, sorted(state._warm), sorted(state._touched)]


def differs(seed: int, other: str = "native") -> str:
    """Empty where plain and the ``other`` machine agree."""
    plain, found = answers(Interpreter(), seed), answers(MACHINES[other].machine(), seed)
    wrong = [
        f"{ours!r} on plain, {theirs!r} on {other}" for ours, theirs in zip(plain, found, strict=True) if ours != theirs
    ]
    return "; ".join(wrong)


def main() -> int:
    """Read the flags, run, print."""
    parser = argparse.ArgumentParser(prog="python -m tests.differential.native_bytes", description=__doc__)
    parser.add_argument("--seeds", required=True, metavar="A..B")
    parser.add_argument("--machine", choices=tuple(MACHINES), default="native", help="the other one")
    parser.add_argument("--alone", action="store_true", help="only that: whether it crashes; many times as fast")
    given = parser.parse_args()
    first, _, last = given.seeds.partition("..")
    found = 0
    for seed in range(int(first), int(last or first) + 1):
        if given.alone:
            answers(MACHINES[given.machine].machine(), seed)
        elif told := differs(seed, given.machine):
            found += 1
            print(f"DIFFERENCE at seed {seed}: {told[:1500]}")
    given_up = getattr(MACHINES[given.machine].machine(), "given_up", 0)
    print(f"{found} differences; {given_up} messages were given up")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
