"""Programs that meet what changed from fork to fork, a small world to run them in, and their answers in one form."""

from __future__ import annotations

import hashlib
import json
import random
from dataclasses import dataclass, field
from typing import Any

from node.evm.addresses import create_address
from node.evm.call_stack import execute_message
from node.evm.interpreter import Interpreter
from node.evm.message import BlockEnvironment, CallKind, Message, TransactionEnvironment
from node.evm.opcodes import Opcode
from node.evm.outcome import Success
from node.evm.spec import Spec
from node.primitives.scalars import Address, Hash32
from node.state.journal import JournaledState
from node.state.view import EmptyView
from tests.unit.evm.program import call_operation, operation, program, push, returning, store_code

SENDER = b"\xaa" * 20
TARGET = b"\xbb" * 20
COINBASE = b"\xc0" * 20
EMPTY = b"\xe0" * 20
ABSENT = b"\xab" * 20
WRITER = b"\x11" * 20
DESTROYER = b"\x12" * 20
FAILING = b"\x13" * 20
ECHO = b"\x14" * 20
DESTROYER_TO_ABSENT = b"\x15" * 20
RIPEMD_CALLER = b"\x16" * 20

GAS_PRICE = 9
NUMBER = 200
TIME = 1_600_000_000

AccountRow = tuple[int, int, bytes, dict[int, int]]
"""Nonce, wei, code, slots."""

ACCOUNTS: dict[bytes, AccountRow] = {
    SENDER: (5, 10**18, b"", {}),
    EMPTY: (0, 0, b"", {}),
    WRITER: (
        1,
        7,
        program(operation(Opcode.SSTORE, 1, 0), operation(Opcode.SSTORE, 2, 5), operation(Opcode.LOG0, 0, 8)),
        {1: 9},
    ),
    DESTROYER: (1, 11, operation(Opcode.SELFDESTRUCT, int.from_bytes(WRITER, "big")), {}),
    DESTROYER_TO_ABSENT: (1, 3, operation(Opcode.SELFDESTRUCT, int.from_bytes(ABSENT, "big")), {}),
    FAILING: (1, 0, program(operation(Opcode.SSTORE, 0, 1), 0xFE), {}),
    ECHO: (
        1,
        0,
        program(
            program(Opcode.CALLER, push(0), Opcode.MSTORE),
            operation(Opcode.CALLDATACOPY, 32, 0, 64),
            operation(Opcode.RETURN, 0, 96),
        ),
        {},
    ),
    RIPEMD_CALLER: (1, 0, program(call_operation(Opcode.CALL, 3, gas=5000), 0xFE), {}),
}


@dataclass(frozen=True)
class Case:
    """One message in the world under one fork; ``accounts`` come on top of ``ACCOUNTS``."""

    fork: str
    to: bytes | None
    data: bytes
    value: int
    gas: int
    accounts: dict[bytes, AccountRow] = field(default_factory=dict)


@dataclass(frozen=True)
class Program:
    """A case without its fork, as the vector file keeps it. A creation runs ``code`` as its init code."""

    code: bytes
    gas: int
    value: int = 0
    creates: bool = False

    def under(self, fork: str) -> Case:
        """The case."""
        if self.creates:
            return Case(fork, None, self.code, self.value, self.gas)
        return Case(fork, TARGET, b"\x01\x02\x03", self.value, self.gas, {TARGET: (1, 100, self.code, {0: 1, 2: 7})})


def run(case: Case, spec: Spec) -> dict[str, Any]:
    """What ours makes of ``case``: gas, refund, logs, and every account afterwards."""
    journal = JournaledState(EmptyView())
    for address, (nonce, balance, code, storage) in {**ACCOUNTS, **case.accounts}.items():
        account = Address(address)
        journal.touch(account)
        journal.set_nonce(account, nonce)
        journal.set_balance(account, balance)
        journal.set_code(account, code)
        for slot, value in storage.items():
            journal.set_storage(account, slot, value)
    journal.begin_transaction(warm=spec.precompiles)
    sender = Address(SENDER)
    target = create_address(sender, journal.nonce(sender)) if case.to is None else Address(case.to)
    journal.increment_nonce(sender)
    journal.access_address(sender)
    journal.access_address(target)
    block = BlockEnvironment(
        chain_id=1,
        number=NUMBER,
        timestamp=TIME,
        coinbase=Address(COINBASE),
        gas_limit=30_000_000,
        prev_randao=Hash32(b"\x07" * 32),
        base_fee_per_gas=7,
        blob_base_fee=1,
        block_hash=lambda number: Hash32(bytes(31) + bytes((number + 256 - NUMBER,))),
        difficulty=0x20000,
    )
    kind = CallKind.CREATE if case.to is None else CallKind.CALL
    code = case.data if case.to is None else journal.code(target)
    data = b"" if case.to is None else case.data
    message = Message(kind, sender, target, target, code, data, case.value, case.gas)
    outcome = execute_message(message, journal, block, TransactionEnvironment(sender, GAS_PRICE), spec, Interpreter())
    refund, logs = journal.refund, journal.logs
    journal.end_transaction(remove_empty=spec.removes_empty)
    diff = journal.diff()
    state: dict[str, Any] = {}
    for address in sorted(diff.accounts):
        change = diff.accounts[address]
        assert change is not None
        slots = {f"{slot:#x}": f"{change.slots[slot]:#x}" for slot in sorted(change.slots)}
        state[address.hex()] = [change.nonce, change.balance, journal.code(address).hex(), slots]
    return {
        "gas_left": outcome.gas_left,
        "refund": refund if isinstance(outcome, Success) else 0,
        "succeeded": isinstance(outcome, Success),
        "logs": [[log.address.hex(), [topic.hex() for topic in log.topics], log.data.hex()] for log in logs],
        "state": state,
    }


def digest(answer: dict[str, Any]) -> str:
    """Gas left, refund, success, and a hash of logs and state: what the vector file keeps of an answer."""
    world = json.dumps([answer["logs"], answer["state"]], sort_keys=True).encode()
    success = "ok" if answer["succeeded"] else "failed"
    return f"{answer['gas_left']} {answer['refund']} {success} {hashlib.sha256(world).hexdigest()[:16]}"


# --- the generator ---

PLACES = (ABSENT, EMPTY, WRITER, DESTROYER, FAILING, ECHO, TARGET, DESTROYER_TO_ABSENT, RIPEMD_CALLER)
INIT_CODES = (
    b"",
    returning(b"\x00"),
    returning(b"\xef\x00"),
    returning(b"\x5b" * 300),
    program(operation(Opcode.RETURN, 0, 24_577)),
    program(operation(Opcode.SSTORE, 1, 1), operation(Opcode.SSTORE, 1, 0)),
    operation(Opcode.SELFDESTRUCT, int.from_bytes(ABSENT, "big")),
    b"\xfe",
)
CALL_KINDS = (Opcode.CALL, Opcode.CALL, Opcode.CALLCODE, Opcode.DELEGATECALL, Opcode.STATICCALL)


def generate(seed: int) -> Program:
    """A program of some twenty steps; ``era`` keeps newer opcodes out, so that old forks get far, too."""
    chance = random.Random(seed)
    era = chance.randrange(5)
    parts = [_step(chance, era) for _ in range(chance.randrange(3, 22))]
    if chance.random() < 0.3:
        parts.append(_ending(chance, era))
    gas = chance.choice((3_000, 30_000, 60_000, 120_000, 400_000, 2_000_000))
    return Program(program(*parts), gas, chance.choice((0, 0, 1)), chance.random() < 0.15)


def _place(chance: random.Random, era: int) -> int:
    if chance.random() < 0.25:
        return chance.randrange(1, 5 if era < 2 else 10)
    return int.from_bytes(chance.choice(PLACES), "big")


def _ending(chance: random.Random, era: int) -> bytes:
    endings = [operation(Opcode.RETURN, 0, chance.choice((0, 32, 100)))]
    endings.append(operation(Opcode.SELFDESTRUCT, _place(chance, era)))
    if era >= 2:
        endings.append(operation(Opcode.REVERT, 0, 32))
    return chance.choice(endings)


def _step(chance: random.Random, era: int) -> bytes:
    kind = chance.randrange(9)
    if kind == 0:
        return operation(Opcode.SSTORE, chance.randrange(4), chance.randrange(3))
    if kind in (1, 2):
        kinds = CALL_KINDS[: 3 if era == 0 else 4 if era == 1 else 5]
        call = call_operation(
            chance.choice(kinds),
            _place(chance, era),
            gas=chance.choice((0, 100, 2_300, 9_000, 30_000, 60_000, 2**64)),
            value=chance.choice((0, 0, 1, 1, 1_000)),
            data=(0, chance.choice((0, 32, 64, 200))),
            output=(chance.choice((0, 64)), chance.choice((0, 32, 64))),
        )
        return program(call, _keep(chance))
    if kind == 3:
        init = chance.choice(INIT_CODES)
        operands = [chance.choice((0, 0, 1, 10**6)), 0, len(init)]
        opcode = Opcode.CREATE
        if era >= 3 and chance.random() < 0.5:
            opcode = Opcode.CREATE2
            operands.append(chance.randrange(2))
        return program(store_code(init), operation(opcode, *operands), _keep(chance))
    if kind == 4:
        looks = [Opcode.BALANCE, Opcode.EXTCODESIZE] + [Opcode.EXTCODEHASH] * (era >= 3)
        return program(operation(chance.choice(looks), _place(chance, era)), _keep(chance))
    if kind == 5:
        return operation(Opcode.EXTCODECOPY, _place(chance, era), 32, 0, chance.choice((0, 10, 90)))
    if kind == 6:
        plain = [Opcode.PREVRANDAO, Opcode.GAS, Opcode.MSIZE, Opcode.NUMBER, Opcode.GASPRICE]
        plain += [Opcode.RETURNDATASIZE] * 2 * (era >= 2) + [Opcode.CHAINID, Opcode.SELFBALANCE] * (era >= 4)
        return program(chance.choice(plain), _keep(chance))
    if kind == 7:
        big = chance.choice((0, 1, 255, 256, 2**128, 2**256 - 1))
        pairs = [Opcode.EXP, Opcode.SDIV, Opcode.SIGNEXTEND, Opcode.BYTE]
        pairs += [Opcode.SHL, Opcode.SHR, Opcode.SAR] * (era >= 3)
        return program(operation(chance.choice(pairs), chance.choice((0, 2, 7, 300)), big), _keep(chance))
    choices = [program(operation(Opcode.SLOAD, chance.randrange(4)), _keep(chance))]
    choices.append(operation(chance.choice((Opcode.LOG0, Opcode.LOG1)), 0, chance.randrange(70), 5))
    choices.append(program(operation(Opcode.KECCAK256, 0, chance.randrange(200)), _keep(chance)))
    choices.append(program(operation(Opcode.BLOCKHASH, chance.randrange(NUMBER + 2)), _keep(chance)))
    if era >= 2:
        choices.append(operation(Opcode.RETURNDATACOPY, 0, 0, chance.choice((0, 20, 32))))
    return chance.choice(choices)


def _keep(chance: random.Random) -> bytes:
    """What to do with the word on top of the stack."""
    if chance.random() < 0.5:
        return program(Opcode.POP)
    if chance.random() < 0.5:
        return program(push(chance.choice((0, 32, 64))), Opcode.MSTORE)
    return program(push(chance.randrange(8, 12)), Opcode.SSTORE)
