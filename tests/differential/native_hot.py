"""``python -m tests.differential.native_hot --seeds A..B``: programs of loops, with every code compiled before it runs.

Each program runs with enough gas, then with less and less, on the native machine with and without units: outcome,
gas, accounts, logs, refund and warm places must be equal at each. Exit code 1 where they are not.
"""

from __future__ import annotations

import argparse
import random
import sys
from typing import Final

from node.evm.machine import VirtualMachine
from node.evm.native.hot.blocks import landing_places
from node.evm.native.hot.compiling import LEVEL, InPlace
from node.evm.native.hot.foreman import Foreman
from node.evm.native.hot.units import read_request, write_request
from node.evm.native.machine import NativeMachine, load_machine
from node.evm.opcodes import Opcode
from node.evm.outcome import Halt
from node.forks.schedule import SPECS_BY_NAME
from tests.differential import native_answers
from tests.unit.evm.program import OTHER, TARGET, World, push

EDGES: Final = (
    *(0, 1, 2, 3, 5, 7, 8, 16, 31, 32, 33, 64, 96, 97, 127, 128, 255, 256, 257, 1000, 2**16, 2**32, 2**63, 2**64 - 1),
    *(2**64, 2**127 - 1, 2**127, 2**128 - 1, 2**128, 2**160 - 1, 2**192, 2**255 - 1, 2**255, 2**255 + 1),
    *(2**256 - 2**127, 2**256 - 2**64, 2**256 - 2, 2**256 - 1),
)
SPECS: Final = tuple(SPECS_BY_NAME.values())
OLD_SPECS: Final = tuple(spec for spec in SPECS if spec.instructions[Opcode.SHL] is None)
TWO: Final = (
    0x01,
    0x02,
    0x03,
    0x04,
    0x05,
    0x06,
    0x07,
    0x0A,
    0x0B,
    0x10,
    0x11,
    0x12,
    0x13,
    0x14,
    0x16,
    0x17,
    0x18,
    0x1A,
)
SHIFTS: Final = (0x1B, 0x1C, 0x1D)
NONE: Final = (
    0x30,
    0x32,
    0x33,
    0x34,
    0x36,
    0x38,
    0x3A,
    0x3D,
    0x41,
    0x42,
    0x43,
    0x44,
    0x45,
    0x46,
    0x47,
    0x48,
    0x4A,
    0x58,
)


class Program:
    """Writes code; ``height`` counts the words that the running function may use."""

    def __init__(self, chance: random.Random, modern: bool) -> None:
        self.chance = chance
        self.modern = modern
        self.code = bytearray()
        self.height = 0
        self.floor = 0
        """Words below are only read: counters and ways back."""
        self.functions: list[tuple[int, int]] = []
        """Places in the code where the address of a function must be written, and which one."""

    def push(self, value: int, width: int | None = None) -> None:
        """A constant."""
        self.code += push(value, width)
        self.height += 1

    def op(self, opcode: int, change: int) -> None:
        """An instruction that changes the height."""
        self.code.append(opcode)
        self.height += change

    def edge(self) -> int:
        """A number that is worth trying."""
        chance = self.chance
        value = chance.choice(EDGES) if chance.random() < 0.7 else chance.getrandbits(chance.choice((8, 40, 64, 256)))
        return value

    def operand(self) -> None:
        """One more word."""
        chance = self.chance
        kind = chance.random()
        if kind < 0.45 and self.height:
            self.op(0x7F + chance.randint(1, min(16, self.height)), 1)
        elif kind < 0.9:
            self.push(self.edge())
        else:
            self.op(chance.choice(NONE if self.modern else NONE[:9]), 1)

    def offset(self) -> None:
        """Where in memory: mostly near, constant or not."""
        chance = self.chance
        kind = chance.random()
        if kind < 0.5:
            self.push(chance.choice((0, 1, 32, 64, 65, 96, 128, 160, 300, 640)))
        elif kind < 0.97 and self.height:
            self.op(0x7F + chance.randint(1, min(16, self.height)), 1)
            self.push(chance.choice((0x1F, 0xFF, 0x3FF)))
            self.op(0x16, -1)
        else:
            self.push(self.edge())

    def size(self) -> None:
        """How much of memory: some, constant or not."""
        chance = self.chance
        if chance.random() < 0.7:
            self.push(chance.choice((0, 1, 32, 64, 136, 200)))
        else:
            self.operand()
            self.push(0x7F)
            self.op(0x16, -1)

    def step(self) -> None:
        """Something."""
        chance = self.chance
        kind = chance.random()
        if kind < 0.28:
            self.operand()
            self.operand()
            self.op(chance.choice(TWO + (SHIFTS if self.modern else ())), -1)
        elif kind < 0.34:  # what compilers write to see an overflow
            self.operand()
            self.operand()
            self.code += bytes((0x81, 0x81, 0x02))  # x y x*y
            self.height += 1
            self.op(0x80 if chance.random() < 0.5 else 0x82, 1)
            if chance.random() < 0.5:
                self.op(0x90, 0)
            self.op(chance.choice((0x04, 0x05)), -1)
        elif kind < 0.40:
            for _ in range(3):
                self.operand()
            self.op(chance.choice((0x08, 0x09)), -2)
        elif kind < 0.46:
            self.operand()
            self.op(chance.choice((0x15, 0x19, 0x35)), 0)
        elif kind < 0.56:
            self.offset()
            self.op(0x51, 0)
        elif kind < 0.66:
            self.operand()
            self.offset()
            self.op(chance.choice((0x52, 0x52, 0x53)), -2)
        elif kind < 0.70:
            self.size()
            self.offset()
            self.op(0x20, -1)
        elif kind < 0.76:
            self.operand()
            self.push(7)
            self.op(0x16, -1)
            self.op(chance.choice((0x54, 0x54, 0x5C)) if self.modern else 0x54, 0)
        elif kind < 0.81:
            self.operand()
            self.operand()
            self.push(3)
            self.op(0x16, -1)
            self.op(chance.choice((0x55, 0x55, 0x5D)) if self.modern else 0x55, -2)
        elif kind < 0.83:
            topics = chance.randrange(5)
            for _ in range(topics):
                self.operand()
            self.push(chance.choice((0, 5, 32, 100)))
            self.offset()
            self.op(0xA0 + topics, -2 - topics)
        elif kind < 0.855:
            self.op(chance.choice((0x5A, 0x59)), 1)
        elif kind < 0.87:
            self.size()
            self.offset()
            self.offset()
            self.op(chance.choice((0x37, 0x39, 0x5E, 0x5E)) if self.modern else 0x37, -3)
        elif kind < 0.94 and self.height > self.floor + 1:
            self.op(0x8F + chance.randint(1, min(16, self.height - self.floor - 1)), 0)
        elif kind < 0.98 and self.height > self.floor:
            self.op(0x50, -1)
        elif kind < 0.985:
            self.op(0x5B, 0)
        else:
            self.call()

    def call(self) -> None:
        """Another account's code runs, or init code."""
        chance = self.chance
        for value in (32, 64, 0, 0):
            self.push(value)
        kind = chance.choice((0xF1, 0xFA, 0xF4) if self.modern else (0xF1,))
        if kind == 0xF1:
            self.push(0)
        self.push(int.from_bytes(OTHER, "big"))
        self.push(chance.choice((0, 700, 5_000)))
        self.op(kind, -6 if kind == 0xF1 else -5)

    def some(self, count: int) -> None:
        """Some steps, and now and then a branch, an inner loop or a call of a function."""
        for _ in range(count):
            kind = self.chance.random()
            if kind < 0.08:
                self.branch()
            elif kind < 0.2 and self.depth < 2:
                self.loop()
            elif kind < 0.34:
                self.internal_call()
            else:
                self.step()
            while self.height > max(24, self.floor):
                self.op(0x50, -1)

    depth = 0

    def branch(self) -> None:
        """Steps that do not change the height, or a jump over them."""
        self.operand()
        self.code += bytes((0x61, 0, 0, 0x57))
        at = len(self.code) - 3
        self.height -= 1
        height, floor = self.height, self.floor
        self.floor = height
        for _ in range(self.chance.randrange(4)):
            self.step()
        self.floor = floor
        while self.height > height:
            self.op(0x50, -1)
        while self.height < height:
            self.push(self.edge())
        self.land(at)

    def land(self, at: int) -> None:
        """The place that a jump at ``at`` leads to."""
        self.code[at : at + 2] = len(self.code).to_bytes(2, "big")
        self.code.append(0x5B)

    def loop(self) -> None:
        """Some rounds; the counter lies below what the body may use."""
        self.depth += 1
        floor = self.floor
        self.push(self.chance.choice((2, 3, 5, 9)))
        self.floor = self.height
        begin = len(self.code)
        self.op(0x5B, 0)
        height = self.height
        self.some(self.chance.choice((2, 5, 12)))
        while self.height > height:
            self.op(0x50, -1)
        while self.height < height:
            self.push(0)
        if self.depth == 1 and self.chance.random() < 0.15:
            self.push(self.edge())  # a word more each round
            self.op(0x90, 0)
            height += 1
        self.push(1)
        self.op(0x90, 0)
        self.op(0x03, -1)  # n - 1
        self.op(0x80, 1)
        self.code += b"\x61" + begin.to_bytes(2, "big") + b"\x57"
        self.height -= 1
        self.depth -= 1
        self.floor = floor
        self.height = height

    def internal_call(self) -> None:
        """Arguments and a way back on the stack, and a jump."""
        self.code += bytes((0x61, 0, 0))
        back = len(self.code) - 2
        self.height += 1
        self.operand()
        self.operand()
        self.code += bytes((0x61, 0, 0, 0x56))
        self.functions.append((len(self.code) - 3, self.chance.randrange(3)))
        self.height -= 2
        self.land(back)

    def function(self) -> None:
        """(way back, a, b) become one word."""
        self.height, self.floor = 2, 0
        self.op(0x5B, 0)
        self.depth = 2
        for _ in range(self.chance.choice((1, 4))):
            self.step()
        while self.height > 1:
            self.op(self.chance.choice((0x50, 0x03, 0x18)), -1)
        while self.height < 1:
            self.push(self.edge())
        self.op(0x90, 0)
        self.code.append(0x56)


def program(chance: random.Random, modern: bool) -> bytes:
    """A whole one: it returns a piece of memory with the words that are left on the stack."""
    made = Program(chance, modern)
    if chance.random() < 0.9:
        made.code += bytes.fromhex("6080604052")
    made.push(made.edge())
    made.push(made.edge())
    made.loop()
    made.some(chance.choice((1, 4)))
    for place in range(min(made.height, 8)):
        made.push(32 * place)
        made.op(0x52, -2)
    made.push(256)
    made.push(0)
    made.code.append(0xF3)
    starts = []
    for _ in range(3):
        starts.append(len(made.code))
        made.function()
    for at, which in made.functions:
        where = starts[which]
        # now and then a jump to nowhere
        made.code[at : at + 2] = (where if chance.random() < 0.98 else where + 1).to_bytes(2, "big")
    return bytes(made.code)


def answers(vm: VirtualMachine, seed: int, gas: int) -> list[object]:
    """What one seed's program leaves on a machine."""
    chance = random.Random(seed)
    spec = chance.choice(SPECS[-4:] if chance.random() < 0.7 else SPECS)
    world = World(spec, machine=vm)
    code = program(chance, spec not in OLD_SPECS)
    world.deploy(OTHER, program(chance, spec not in OLD_SPECS))
    world.deploy(TARGET, code, balance=5)
    for slot in range(3):
        world.state.set_storage(TARGET, slot, chance.choice(EDGES))
    world.begin()
    static = chance.random() < 0.05
    outcome = world.run(code, chance.randbytes(chance.choice((0, 3, 32, 100))), gas, static=static)
    state = world.state
    accounts = [
        (address, found and (found.nonce, found.balance, found.code_hash, found.slots, found.storage_cleared))
        for address, found in sorted(state.diff().accounts.items())
    ]
    return [outcome, accounts, state.logs, state.refund, sorted(state._warm), sorted(state._touched)]


class SomeHot(InPlace):
    """A worker for which only some landing places of half the codes are hot, always the same ones of a code."""

    def ask(self, request: bytes) -> bool:
        """Compile it here and now."""
        asked = read_request(request)
        chance = random.Random(asked.code)
        if chance.random() < 0.5:
            places = sorted(landing_places(asked.code))
            asked = asked._replace(hits={pc: chance.choice((1, 10**5, 10**6)) for pc in places})
        return super().ask(write_request(asked))


def hot_machine(level: int = LEVEL) -> tuple[NativeMachine, Foreman]:
    """One that compiles every code before it runs it."""
    machine = load_machine()
    return machine, machine.compile_hot_code(SomeHot(level), everything=True)


MUCH: Final = 3_000_000


def differences(hot: NativeMachine, seed: int, runs: int) -> list[str]:
    """With enough gas, and with less in ``runs`` steps."""
    cold = native_answers.machine()
    wrong = []
    outcome = answers(cold, seed, MUCH)[0]
    used = MUCH if isinstance(outcome, Halt) else MUCH - outcome.gas_left  # type: ignore[attr-defined]
    chance = random.Random(seed)
    top = min(used + 50, MUCH)
    amounts = [MUCH, used, used - 1, *(chance.randrange(top) for _ in range(runs))]
    for gas in amounts:
        ours, theirs = answers(cold, seed, gas), answers(hot, seed, gas)
        if ours != theirs:
            pairs = [(one, other) for one, other in zip(ours, theirs, strict=True) if one != other]
            wrong.append(f"seed {seed}, gas {gas}: {pairs[0][0]!r} without, {pairs[0][1]!r} with units")
    return wrong


def main() -> int:
    """Read the flags, run, print."""
    parser = argparse.ArgumentParser(prog="python -m tests.differential.native_hot", description=__doc__)
    parser.add_argument("--seeds", required=True, metavar="A..B")
    parser.add_argument("--level", type=int, default=LEVEL, help="of LLVM's optimisations")
    parser.add_argument("--runs", type=int, default=30, help="amounts of gas for each program")
    given = parser.parse_args()
    first, _, last = given.seeds.partition("..")
    hot, foreman = hot_machine(given.level)
    found = 0
    for seed in range(int(first), int(last or first) + 1):
        told = differences(hot, seed, given.runs)
        found += bool(told)
        for line in told[:1]:
            print(f"DIFFERENCE at {line[:1200]}", flush=True)
    print(f"{found} programs differ; {foreman.installed} units")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
