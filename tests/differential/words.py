"""Random words: expressions that push one, of constants at the edges, the surroundings, storage, other accounts."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from node.evm.opcodes import Opcode
from tests.differential.cases import since

EDGES = (
    *range(9),
    *(31, 32, 33, 63, 64, 65, 255, 256, 257, 1023, 1024),
    *(2**31, 2**32 - 1, 2**32, 2**63, 2**64 - 1, 2**64, 2**128 - 1, 2**128, 2**160 - 1, 2**160, 2**248),
    *(2**255 - 1, 2**255, 2**255 + 1, 2**256 - 256, 2**256 - 2, 2**256 - 1),
)
HUGE = (2**20, 2**32, 2**63, 2**64 - 1, 2**64, 2**128, 2**255, 2**256 - 32, 2**256 - 1)
CREATED = 0x3E0
"""Memory word that holds the last address that a creation left."""
MEMORY = 0x200
"""Most offsets stay below."""

_SINCE = {
    Opcode.DELEGATECALL: "Homestead",
    Opcode.REVERT: "Byzantium",
    Opcode.RETURNDATASIZE: "Byzantium",
    Opcode.RETURNDATACOPY: "Byzantium",
    Opcode.STATICCALL: "Byzantium",
    Opcode.SHL: "Petersburg",
    Opcode.SHR: "Petersburg",
    Opcode.SAR: "Petersburg",
    Opcode.CREATE2: "Petersburg",
    Opcode.EXTCODEHASH: "Petersburg",
    Opcode.CHAINID: "Istanbul",
    Opcode.SELFBALANCE: "Istanbul",
    Opcode.BASEFEE: "London",
    Opcode.PUSH0: "Shanghai",
    Opcode.BLOBHASH: "Cancun",
    Opcode.BLOBBASEFEE: "Cancun",
    Opcode.TLOAD: "Cancun",
    Opcode.TSTORE: "Cancun",
    Opcode.MCOPY: "Cancun",
    Opcode.CLZ: "Osaka",
}
_CONTEXT = (
    Opcode.ADDRESS,
    Opcode.ORIGIN,
    Opcode.CALLER,
    Opcode.CALLVALUE,
    Opcode.CALLDATASIZE,
    Opcode.CODESIZE,
    Opcode.GASPRICE,
    Opcode.RETURNDATASIZE,
    Opcode.COINBASE,
    Opcode.TIMESTAMP,
    Opcode.NUMBER,
    Opcode.PREVRANDAO,
    Opcode.GASLIMIT,
    Opcode.CHAINID,
    Opcode.SELFBALANCE,
    Opcode.BASEFEE,
    Opcode.BLOBBASEFEE,
    Opcode.PC,
    Opcode.MSIZE,
    Opcode.GAS,
)
_UNARY = (Opcode.ISZERO, Opcode.NOT, Opcode.CLZ)
_BINARY = (
    *(Opcode.ADD, Opcode.MUL, Opcode.SUB, Opcode.DIV, Opcode.SDIV, Opcode.MOD, Opcode.SMOD, Opcode.EXP),
    *(Opcode.SIGNEXTEND, Opcode.LT, Opcode.GT, Opcode.SLT, Opcode.SGT, Opcode.EQ, Opcode.AND, Opcode.OR),
    *(Opcode.XOR, Opcode.BYTE, Opcode.SHL, Opcode.SHR, Opcode.SAR),
)


@dataclass
class WordWriter:
    """A program in the making under one fork; ``places`` are the addresses it may meet."""

    chance: random.Random
    fork: str
    places: tuple[int, ...]
    level: int = 0
    """How deep this program lies in others, as init code or what that deploys."""
    code: bytearray = field(default_factory=bytearray)
    junk: int = 0
    """Words that statements left on the stack."""

    def has(self, opcode: Opcode) -> bool:
        """Whether the fork knows the opcode."""
        return since(self.fork, _SINCE.get(opcode, "Frontier"))

    def op(self, opcode: int) -> None:
        """One opcode."""
        self.code.append(opcode)

    def push(self, value: int) -> None:
        """PUSH of a constant; sometimes a wider one than needed."""
        size = (value.bit_length() + 7) // 8
        if size == 0 and not (self.has(Opcode.PUSH0) and self.chance.random() < 0.8):
            size = 1
        if size and self.chance.random() < 0.03:
            size = self.chance.randrange(size, 33)
        self.code.append(0x5F + size)
        self.code += value.to_bytes(size, "big")

    # --- words ---

    def constant(self) -> int:
        """An interesting number."""
        roll = self.chance.random()
        if roll < 0.65:
            return self.chance.choice(EDGES)
        return self.chance.getrandbits(self.chance.choice((4, 8, 16, 64, 160, 256)))

    def expression(self, depth: int = 2) -> None:
        """Push one word."""
        roll = self.chance.random()
        if depth <= 0 or roll < 0.3:
            self._leaf()
        elif roll < 0.36:
            self.expression(depth - 1)
            self.op(self.chance.choice([opcode for opcode in _UNARY if self.has(opcode)]))
        elif roll < 0.72:
            self.expression(depth - 1)
            self.expression(depth - 1)
            self.op(self.chance.choice([opcode for opcode in _BINARY if self.has(opcode)]))
        elif roll < 0.76:
            for _ in range(3):
                self.expression(depth - 1)
            self.op(self.chance.choice((Opcode.ADDMOD, Opcode.MULMOD)))
        else:
            self._reading()

    def _leaf(self) -> None:
        roll = self.chance.random()
        if roll < 0.5:
            self.push(self.constant())
        elif roll < 0.85 or not self.junk:
            self.op(self.chance.choice([opcode for opcode in _CONTEXT if self.has(opcode)]))
        else:
            self.op(0x80 + self.chance.randrange(min(self.junk, 16)))

    def _reading(self) -> None:
        """A word from storage, memory, call data, another account, a hash."""
        choices = [Opcode.SLOAD, Opcode.SLOAD, Opcode.MLOAD, Opcode.CALLDATALOAD, Opcode.BALANCE, Opcode.EXTCODESIZE]
        choices += [Opcode.KECCAK256, Opcode.BLOCKHASH]
        choices += [op for op in (Opcode.EXTCODEHASH, Opcode.TLOAD, Opcode.BLOBHASH) if self.has(op)]
        opcode = self.chance.choice(choices)
        if opcode in (Opcode.SLOAD, Opcode.TLOAD):
            self.slot()
        elif opcode == Opcode.MLOAD:
            self.offset()
        elif opcode in (Opcode.BALANCE, Opcode.EXTCODESIZE, Opcode.EXTCODEHASH):
            self.place()
        elif opcode == Opcode.KECCAK256:
            self.size()
            self.offset()
        elif opcode == Opcode.BLOCKHASH and self.chance.random() < 0.7:
            self.push(self.chance.randrange(3))
            self.op(Opcode.NUMBER)
            self.op(Opcode.SUB)
        else:
            self.push(self.chance.choice((0, 1, 2, 31, 32, 60, 2**64, 2**256 - 1)))
        self.op(opcode)

    def slot(self) -> None:
        """Push a storage key."""
        self.push(self.chance.choice((0, 1, 2, 3, 4, 5, 2**256 - 1)))

    def offset(self) -> None:
        """Push a place in memory or data."""
        roll = self.chance.random()
        if roll < 0.96:
            self.push(self.chance.choice((0, 0, 1, 31, 32, 33, 64, 100, self.chance.randrange(MEMORY))))
        elif roll < 0.98:
            self.push(self.chance.choice(HUGE))
        else:
            self.expression(1)

    def size(self) -> None:
        """Push a number of bytes."""
        roll = self.chance.random()
        if roll < 0.97:
            self.push(self.chance.choice((0, 0, 1, 4, 31, 32, 33, 64, 96, self.chance.randrange(300))))
        else:
            self.push(self.chance.choice((*HUGE, 5_000, 30_000)))

    def place(self) -> None:
        """Push an address; sometimes the last one created, sometimes with dirt above its 20 bytes."""
        roll = self.chance.random()
        if roll < 0.1:
            self.push(CREATED)
            self.op(Opcode.MLOAD)
        elif roll < 0.15:
            self.op(self.chance.choice((Opcode.ADDRESS, Opcode.CALLER, Opcode.ORIGIN, Opcode.COINBASE)))
        else:
            address = self.chance.choice(self.places)
            self.push(address | (self.chance.getrandbits(96) << 160 if roll < 0.17 else 0))
