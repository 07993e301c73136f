"""Random programs. Mostly stack-valid, so that they get somewhere; now and then nonsense, to see the halts.

A ``Writer`` writes one program. Statements leave the stack as it was, apart from junk that they say they left;
expressions push one word. Loops count down from a small number, so every program ends.
"""

from __future__ import annotations

import random

from node.evm.opcodes import Opcode
from tests.differential.precompile_inputs import precompile_input
from tests.differential.words import CREATED, WordWriter

_CALLS = (Opcode.CALL, Opcode.CALL, Opcode.CALLCODE, Opcode.DELEGATECALL, Opcode.STATICCALL)
_VALUE_CALLS = (Opcode.CALL, Opcode.CALLCODE)


class Writer(WordWriter):
    """A program in the making: statements over words."""

    # --- statements ---

    def statements(self, count: int, depth: int = 2) -> None:
        """Some of them; ``depth`` bounds how far loops and branches nest."""
        for _ in range(count):
            self.statement(depth)

    def statement(self, depth: int = 2) -> None:
        """One of them, by weight."""
        kinds = [
            (10, self._store),
            (8, self._memory),
            (12, self._call),
            (4, self._create),
            (4, self._copy),
            (4, self._log),
            (5, self._keep),
            (5, self._precompile),
            (4, self._stack_play),
            (0.6, self._nonsense),
            (0.8, self.ending),
        ]
        if depth > 0:
            kinds += [(4, lambda: self._branch(depth)), (2, lambda: self._loop(depth))]
        weights = [weight for weight, _ in kinds]
        self.chance.choices([action for _, action in kinds], weights)[0]()

    def _store(self) -> None:
        if self.chance.random() < 0.6:
            self.push(self.chance.choice((0, 0, 1, 2, 5)))
        else:
            self.expression()
        self.slot()
        self.op(Opcode.TSTORE if self.has(Opcode.TSTORE) and self.chance.random() < 0.3 else Opcode.SSTORE)

    def _memory(self) -> None:
        self.expression()
        self.offset()
        self.op(self.chance.choice((Opcode.MSTORE, Opcode.MSTORE, Opcode.MSTORE8)))

    def _keep(self) -> None:
        """A word into a slot, where the state root shows it."""
        self.expression(3)
        self.push(self.chance.randrange(8, 14))
        self.op(Opcode.SSTORE)

    def _copy(self) -> None:
        choices = [Opcode.CALLDATACOPY, Opcode.CODECOPY, Opcode.EXTCODECOPY]
        choices += [op for op in (Opcode.RETURNDATACOPY, Opcode.MCOPY, Opcode.MCOPY) if self.has(op)]
        opcode = self.chance.choice(choices)
        if opcode == Opcode.RETURNDATACOPY:
            if self.chance.random() < 0.8:
                self.op(Opcode.RETURNDATASIZE)
                self.push(0)
            else:
                self.push(self.chance.choice((0, 1, 32, 64)))
                self.push(self.chance.choice((0, 1, 32, 2**256 - 1)))
        else:
            self.size()
            self.offset()
        self.offset()
        if opcode == Opcode.EXTCODECOPY:
            self.place()
        self.op(opcode)

    def _log(self) -> None:
        topics = self.chance.randrange(5)
        for _ in range(topics):
            self.expression(1)
        self.size()
        self.offset()
        self.op(Opcode.LOG0 + topics)

    def _result(self) -> None:
        """What to do with the word that a call or a creation left."""
        roll = self.chance.random()
        if roll < 0.4:
            self.op(Opcode.POP)
        elif roll < 0.7:
            self.push(self.chance.randrange(8, 14))
            self.op(Opcode.SSTORE)
        else:
            self.push(self.chance.choice((0, 32, 64)))
            self.op(Opcode.MSTORE)

    def _gas(self) -> None:
        if self.chance.random() < 0.5:
            self.op(Opcode.GAS)
            if self.chance.random() < 0.5:
                self.push(self.chance.choice((1, 2)))
                self.op(Opcode.SHR if self.has(Opcode.SHR) and self.chance.random() < 0.3 else Opcode.SWAP1)
                if self.code[-1] == Opcode.SWAP1:
                    self.op(Opcode.DIV)
        else:
            self.push(self.chance.choice((0, 100, 700, 2_300, 9_000, 25_000, 30_000, 60_000, 2**63, 2**64, 2**256 - 1)))

    def _call(self) -> None:
        opcode = self.chance.choice([opcode for opcode in _CALLS if self.has(opcode)])
        self.size()
        self.offset()
        self.size()
        self.offset()
        if opcode in _VALUE_CALLS:
            self.push(self.chance.choice((0, 0, 0, 1, 1, 7, 1_000, 2**128)))
        self.place()
        self._gas()
        self.op(opcode)
        self._result()

    def _precompile(self) -> None:
        """A call of a precompile with input that means something to it."""
        number, data, gas = precompile_input(self.chance, self.fork)
        self.store_bytes(data, 0)
        opcode = self.chance.choice([opcode for opcode in _CALLS if self.has(opcode)])
        self.push(self.chance.choice((0, 32, 64, 256)))
        self.push(self.chance.choice((0, 0x100)))
        self.push(len(data))
        self.push(0)
        if opcode in _VALUE_CALLS:
            self.push(self.chance.choice((0, 0, 0, 1)))
        self.push(number)
        if self.chance.random() < 0.6:
            self.op(Opcode.GAS)
        else:
            self.push(max(0, gas + self.chance.choice((-1, 0, 0, 1, 50, 100_000))))
        self.op(opcode)
        self._result()
        if self.has(Opcode.RETURNDATASIZE) and self.chance.random() < 0.5:
            self.op(Opcode.RETURNDATASIZE)
            self.push(0)
            self.push(0)
            self.op(Opcode.RETURNDATACOPY)
            self.op(Opcode.RETURNDATASIZE)
            self.push(0)
            self.op(Opcode.KECCAK256)
            self.push(self.chance.randrange(8, 14))
            self.op(Opcode.SSTORE)

    def store_bytes(self, data: bytes, offset: int) -> None:
        """Bytes into memory, a word at a time."""
        for start in range(0, len(data), 32):
            word = data[start : start + 32].ljust(32, b"\x00")
            if any(word):
                self.push(int.from_bytes(word, "big"))
                self.push(offset + start)
                self.op(Opcode.MSTORE)
            elif self.chance.random() < 0.5:
                self.push(0)
                self.push(offset + start)
                self.op(Opcode.MSTORE)

    def _create(self) -> None:
        if self.level >= 2:
            return
        init = init_code(self.chance, self.fork, self.places, self.level + 1)
        self.store_bytes(init, 0)
        salted = self.has(Opcode.CREATE2) and self.chance.random() < 0.5
        if salted:
            self.push(self.chance.randrange(2))
        if self.chance.random() < 0.97:
            self.push(len(init))
        else:
            self.push(self.chance.choice((0, 24_577, 49_152, 49_153, 2**64)))
        self.push(0)
        self.push(self.chance.choice((0, 0, 0, 1, 10**30)))
        self.op(Opcode.CREATE2 if salted else Opcode.CREATE)
        if self.chance.random() < 0.6:
            self.push(CREATED)
            self.op(Opcode.MSTORE)
        else:
            self._result()

    def deepen(self, words: int) -> None:
        """Constants that stay on the stack."""
        for _ in range(words):
            self.push(self.constant())
            self.junk += 1

    def _stack_play(self) -> None:
        """DUP, SWAP, POP over words that are there."""
        if self.junk < 18 and self.chance.random() < 0.5:
            self.deepen(self.chance.choice((1, 2, 5, 17)))
        if self.junk >= 2:
            self.op(0x90 + self.chance.randrange(min(self.junk - 1, 16)))
        if self.junk and self.chance.random() < 0.3:
            self.op(Opcode.POP)
            self.junk -= 1

    def _branch(self, depth: int) -> None:
        """``if``, sometimes with ``else``."""
        self.expression(1)
        if self.chance.random() < 0.5:
            self.op(Opcode.ISZERO)
        over = self._jump(Opcode.JUMPI)
        self._within(depth)
        if self.chance.random() < 0.4:
            end = self._jump(Opcode.JUMP)
            self._land(over)
            self._within(depth)
            self._land(end)
        else:
            self._land(over)

    def _within(self, depth: int) -> None:
        """Statements that leave the stack as they found it."""
        junk, self.junk = self.junk, 0
        self.statements(self.chance.randrange(1, 4), depth - 1)
        for _ in range(self.junk):
            self.op(Opcode.POP)
        self.junk = junk

    def _jump(self, opcode: Opcode) -> int:
        self.code += b"\x61\x00\x00"
        self.op(opcode)
        return len(self.code) - 3

    def _land(self, place: int) -> None:
        self.code[place : place + 2] = len(self.code).to_bytes(2, "big")
        self.op(Opcode.JUMPDEST)

    def _loop(self, depth: int) -> None:
        """Counts down to 0. The counter lies under whatever the body does."""
        self.push(self.chance.randrange(1, 6))
        top = len(self.code)
        self.op(Opcode.JUMPDEST)
        self._within(depth)
        self.push(1)
        self.op(Opcode.SWAP1)
        self.op(Opcode.SUB)
        self.op(Opcode.DUP1)
        self.code += b"\x61" + top.to_bytes(2, "big")
        self.op(Opcode.JUMPI)
        self.op(Opcode.POP)

    def _nonsense(self) -> None:
        """Something that halts, or nearly."""
        roll = self.chance.randrange(7)
        if roll == 0:
            self.op(self.chance.randrange(256))
        elif roll == 1:
            self.push(self.chance.choice((0, 1, 5, len(self.code), 2**16, 2**64, 2**256 - 1)))
            self.op(Opcode.JUMP)
        elif roll == 2:
            self.code += b"\x50" * (self.junk + 1)
        elif roll == 3:
            self.code += b"\x80" * 1025 if self.junk else b"\x58" * 1025
        elif roll == 4:
            self.op(Opcode.INVALID)
        elif roll == 5:
            self.op(self.chance.choice((0x0C, 0x21, 0x4B, 0xA5, 0xB0, 0xEF, 0xF6, 0xFB)))
        else:
            self.code += b"\x60\x01\x60\x00\x57\x60\x5b\x50"  # a JUMPI to no JUMPDEST, and one inside of a PUSH

    def ending(self) -> None:
        """An end of the frame."""
        choices = [Opcode.STOP, Opcode.RETURN, Opcode.RETURN, Opcode.SELFDESTRUCT]
        if self.has(Opcode.REVERT):
            choices += [Opcode.REVERT, Opcode.REVERT]
        opcode = self.chance.choice(choices)
        if opcode == Opcode.SELFDESTRUCT:
            self.place()
        elif opcode != Opcode.STOP:
            self.size()
            self.offset()
        self.op(opcode)


def runtime_code(chance: random.Random, fork: str, places: tuple[int, ...], level: int = 0) -> bytes:
    """A program of a contract."""
    writer = Writer(chance, fork, places, level)
    if chance.random() < 0.3:
        writer.deepen(17)
    writer.statements(chance.randrange(1, 6 if level else 16))
    if chance.random() < 0.5:
        writer.ending()
    return bytes(writer.code)


def init_code(chance: random.Random, fork: str, places: tuple[int, ...], level: int = 0) -> bytes:
    """A program that creates a contract, if it gets so far."""
    writer = Writer(chance, fork, places, level)
    roll = chance.random()
    if roll < 0.3:
        writer.statements(chance.randrange(1, 4), 1)
    if roll < 0.75:
        deployed = runtime_code(chance, fork, places, level + 1)[:600]
        if chance.random() < 0.06:
            deployed = chance.choice((b"\xef", b"\xef\x00\x01", b"\xef\x01\x00" + bytes(20), b"\x00" * 700))
        writer.store_bytes(deployed, 0)
        writer.push(len(deployed))
        writer.push(0)
        writer.op(Opcode.RETURN)
    elif roll < 0.8:
        writer.push(chance.choice((24_575, 24_576, 24_577, 60_000)))
        writer.push(0)
        writer.op(Opcode.RETURN)
    elif roll < 0.97:
        writer.statements(chance.randrange(0, 3), 1)
        writer.ending()
    return bytes(writer.code)
