"""Small programs and a world to run them in: real state, real rules, real interpreter."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from node.evm.call_stack import execute_message
from node.evm.interpreter import Interpreter
from node.evm.machine import Tracer, VirtualMachine
from node.evm.message import BlockEnvironment, CallKind, Message, TransactionEnvironment
from node.evm.opcodes import Opcode
from node.evm.outcome import Outcome, Success
from node.evm.spec import Spec
from node.forks import osaka
from node.primitives.scalars import Address, Hash32
from node.state.journal import JournaledState
from node.state.view import EmptyView

SENDER = Address(b"\xaa" * 20)
TARGET = Address(b"\xbb" * 20)
OTHER = Address(b"\xcc" * 20)
COINBASE = Address(b"\xc0" * 20)
GAS = 1_000_000


def push(value: int, size: int | None = None) -> bytes:
    """PUSHn with the smallest n, or with ``size``."""
    width = size if size is not None else max(1, (value.bit_length() + 7) // 8)
    return bytes((0x5F + width,)) + value.to_bytes(width, "big")


def program(*parts: int | bytes | str) -> bytes:
    """Opcodes as they are, bytes as they are, hex text decoded."""
    code = b""
    for part in parts:
        if isinstance(part, str):
            code += bytes.fromhex(part)
        else:
            code += part if isinstance(part, bytes) else bytes((part,))
    return code


def operation(opcode: int, *operands: int) -> bytes:
    """``opcode`` on operands, the first one on top of the stack."""
    return program(*(push(operand) for operand in reversed(operands)), opcode)


RETURN_TOP = program(push(0), Opcode.MSTORE, push(32), push(0), Opcode.RETURN)
"""Ends a program with the word on top of its stack as output."""


def call_operation(
    kind: Opcode,
    to: int | bytes,
    *,
    gas: int = 0xFFFFFF,
    value: int = 0,
    data: tuple[int, int] = (0, 0),
    output: tuple[int, int] = (0, 0),
) -> bytes:
    """One of the CALL family; leaves 1 or 0 on the stack."""
    address = int.from_bytes(to, "big") if isinstance(to, bytes) else to
    operands = [gas, address]
    if kind in (Opcode.CALL, Opcode.CALLCODE):
        operands.append(value)
    return operation(kind, *operands, *data, *output)


def store_code(code: bytes, offset: int = 0) -> bytes:
    """Writes ``code`` to memory, a word at a time."""
    padded = code.ljust((len(code) + 31) // 32 * 32, b"\x00")
    words = [padded[start : start + 32] for start in range(0, len(padded), 32)]
    return b"".join(
        program(push(int.from_bytes(word, "big"), 32), push(offset + 32 * index), Opcode.MSTORE)
        for index, word in enumerate(words)
    )


def returning(code: bytes) -> bytes:
    """Init code that deploys ``code``."""
    return program(store_code(code), push(len(code)), push(0), Opcode.RETURN)


@dataclass
class World:
    """State, surroundings and rules of one transaction."""

    spec: Spec = osaka.SPEC
    machine: VirtualMachine = field(default_factory=Interpreter)
    state: JournaledState = field(default_factory=lambda: JournaledState(EmptyView()))
    block: BlockEnvironment = field(
        default_factory=lambda: BlockEnvironment(
            chain_id=1337,
            number=1000,
            timestamp=1_700_000_000,
            coinbase=COINBASE,
            gas_limit=30_000_000,
            prev_randao=Hash32(b"\x07" * 32),
            base_fee_per_gas=7,
            blob_base_fee=3,
            block_hash=lambda number: Hash32(number.to_bytes(32, "big")),
        )
    )
    transaction: TransactionEnvironment = field(default_factory=lambda: TransactionEnvironment(SENDER, 9))

    def __post_init__(self) -> None:
        self.state.add_balance(SENDER, 10**18)
        self.begin()

    def begin(self) -> None:
        """A new transaction: its two accounts are warm."""
        self.state.begin_transaction()
        self.state.access_address(SENDER)
        self.state.access_address(TARGET)

    def deploy(self, address: Address, code: bytes, balance: int = 0, nonce: int = 1) -> None:
        """Put a contract where it can be called."""
        self.state.set_nonce(address, nonce)
        self.state.set_code(address, code)
        if balance:
            self.state.add_balance(address, balance)

    def run(
        self,
        code: bytes,
        data: bytes = b"",
        gas: int = GAS,
        value: int = 0,
        static: bool = False,
        tracer: Tracer | None = None,
        depth: int = 0,
    ) -> Outcome:
        """Call TARGET, which holds ``code``."""
        if self.state.code(TARGET) != code:
            self.deploy(TARGET, code)
        message = Message(CallKind.CALL, SENDER, TARGET, TARGET, code, data, value, gas, is_static=static, depth=depth)
        return self.execute(message, tracer)

    def create(self, init_code: bytes, address: Address = OTHER, gas: int = GAS, value: int = 0) -> Outcome:
        """A creation as a transaction makes it."""
        return self.execute(Message(CallKind.CREATE, SENDER, address, address, init_code, b"", value, gas))

    def execute(self, message: Message, tracer: Tracer | None = None) -> Outcome:
        """Run any message."""
        return execute_message(message, self.state, self.block, self.transaction, self.spec, self.machine, tracer)

    def word(self, code: bytes, data: bytes = b"", value: int = 0) -> int:
        """What ``code`` leaves on top of its stack."""
        outcome = self.run(program(code, RETURN_TOP), data, value=value)
        assert isinstance(outcome, Success), outcome
        return int.from_bytes(outcome.output, "big")

    def gas_of(self, code: bytes, data: bytes = b"") -> int:
        """What ``code`` costs; it must succeed."""
        outcome = self.run(code, data)
        assert isinstance(outcome, Success), outcome
        return GAS - outcome.gas_left

    def with_block(self, **changes: object) -> World:
        """This world with another block around it."""
        self.block = replace(self.block, **changes)  # type: ignore[arg-type]
        return self
