"""The forks before the Merge, one message at a time, against pinned answers of the execution specification."""

from __future__ import annotations

import json
import lzma
from pathlib import Path
from typing import Any

import pytest

from node.evm.opcodes import Opcode
from node.evm.outcome import Outcome, Success
from node.evm.spec import Spec
from node.forks.schedule import SPECS_BY_NAME
from node.primitives.scalars import Address
from tests.unit.evm.program import GAS, OTHER, TARGET, World, call_operation, operation, program, push, returning
from tests.unit.forks.programs import ABSENT, EMPTY, Program, digest, generate, run

PINNED = Path(__file__).parents[2] / "vectors/own/old_forks.json.xz"
RIPEMD = Address(bytes(19) + b"\x03")


def pinned() -> list[dict[str, Any]]:
    cases: list[dict[str, Any]] = json.loads(lzma.decompress(PINNED.read_bytes()))["cases"]
    return cases


@pytest.mark.parametrize("case", pinned(), ids=lambda case: str(case["seed"]))
def test_pinned_answers(case: dict[str, Any]) -> None:
    subject = Program(bytes.fromhex(case["code"]), case["gas"], case["value"], case["creates"])
    found = {fork: digest(run(subject.under(fork), SPECS_BY_NAME[fork])) for fork in case["answers"]}
    assert found == case["answers"]


def test_pinned_answers_differ_from_fork_to_fork() -> None:
    """Each change of the EVM is met by some program: no two neighbours answer alike throughout."""
    rows = [list(case["answers"].values()) for case in pinned()]
    for older in range(len(rows[0]) - 1):
        assert any(row[older] != row[older + 1] for row in rows), older


def test_reference_specification_agrees() -> None:
    pytest.importorskip("ethereum.forks.frontier", reason="the package ethereum-execution is not installed")
    from tests.unit.forks import reference_spec

    for seed in range(10_000, 10_060):
        for fork in reference_spec.PACKAGES:
            case = generate(seed).under(fork)
            assert run(case, SPECS_BY_NAME[fork]) == reference_spec.answer(case), (seed, fork)


# --- what the specification's package leaves out, and what deserves a line of its own ---


def world_of(fork: str) -> World:
    return World(SPECS_BY_NAME[fork])


EIP_1283 = [
    # code, gas and refund of EIP-1283's own table, original value
    ("60006000556000600055", 412, 0, 0),
    ("60006000556001600055", 20_212, 0, 0),
    ("60016000556000600055", 20_212, 19_800, 0),
    ("60016000556002600055", 20_212, 0, 0),
    ("60016000556001600055", 20_212, 0, 0),
    ("60006000556000600055", 5_212, 15_000, 1),
    ("60006000556001600055", 5_212, 4_800, 1),
    ("60006000556002600055", 5_212, 0, 1),
    ("60026000556000600055", 5_212, 15_000, 1),
    ("60026000556003600055", 5_212, 0, 1),
    ("60026000556001600055", 5_212, 4_800, 1),
    ("60016000556000600055", 5_212, 15_000, 1),
    ("60016000556001600055", 412, 0, 1),
    ("600160005560006000556001600055", 40_218, 19_800, 0),
    ("600060005560016000556000600055", 10_218, 19_800, 1),
]


@pytest.mark.parametrize(("code", "gas", "refund", "original"), EIP_1283)
def test_net_metering_of_eip_1283(code: str, gas: int, refund: int, original: int) -> None:
    world = world_of("Constantinople")
    world.state.set_storage(TARGET, 0, original)
    world.begin()
    assert (world.gas_of(bytes.fromhex(code)), world.state.refund) == (gas, refund)
    gross = world_of("Petersburg")
    gross.state.set_storage(TARGET, 0, original)
    gross.begin()
    assert gross.gas_of(bytes.fromhex(code)) >= gas


def test_unpaid_code_deposit() -> None:
    """Frontier keeps a contract without code; from EIP-2 on the creation fails."""

    def create(fork: str) -> tuple[Outcome, World]:
        world = world_of(fork)
        return world.create(returning(b"\x00" * 100), gas=2_000), world

    outcome, world = create("Frontier")
    assert isinstance(outcome, Success)
    assert outcome.gas_left > 0
    assert world.state.account_exists(OTHER)
    assert world.state.code(OTHER) == b""
    outcome, world = create("Homestead")
    assert not isinstance(outcome, Success)
    assert not world.state.account_exists(OTHER)


@pytest.mark.parametrize(("fork", "nonce"), [("Tangerine Whistle", 0), ("Spurious Dragon", 1)])
def test_nonce_of_a_new_contract(fork: str, nonce: int) -> None:
    world = world_of(fork)
    assert isinstance(world.create(returning(b"\x00")), Success)
    assert world.state.nonce(OTHER) == nonce


@pytest.mark.parametrize(("fork", "passes"), [("Homestead", False), ("Tangerine Whistle", True)])
def test_a_call_that_asks_for_more_gas_than_there_is(fork: str, passes: bool) -> None:
    outcome = world_of(fork).run(call_operation(Opcode.CALL, OTHER, gas=2 * GAS))
    assert isinstance(outcome, Success) is passes


@pytest.mark.parametrize(
    ("fork", "to", "value", "pays"),
    [
        ("Homestead", ABSENT, 0, True),
        ("Homestead", EMPTY, 1, False),
        ("Tangerine Whistle", ABSENT, 0, True),
        ("Spurious Dragon", ABSENT, 0, False),
        ("Spurious Dragon", EMPTY, 1, True),
        ("Spurious Dragon", ABSENT, 1, True),
    ],
)
def test_who_pays_for_a_new_account(fork: str, to: bytes, value: int, pays: bool) -> None:
    world = world_of(fork)
    world.state.add_balance(TARGET, 10)
    world.state.touch(Address(EMPTY))
    world.state.end_transaction(remove_empty=False)
    world.begin()
    spent = world.gas_of(call_operation(Opcode.CALL, to, gas=0, value=value))
    assert (spent >= 25_000) is pays


def test_refund_for_each_destroyed_account_once() -> None:
    def refund(fork: str) -> int:
        world = world_of(fork)
        world.deploy(OTHER, operation(Opcode.SELFDESTRUCT, 0))
        world.run(program(*[program(call_operation(Opcode.CALL, OTHER, gas=60_000), Opcode.POP)] * 2))
        return world.state.refund

    assert [refund(fork) for fork in ("Frontier", "Istanbul", "Berlin", "London")] == [24_000, 24_000, 24_000, 0]


def test_0x44_is_the_difficulty_until_the_merge() -> None:
    code = program(Opcode.PREVRANDAO)
    assert world_of("Gray Glacier").with_block(difficulty=77).word(code) == 77
    assert world_of("Paris").with_block(difficulty=77).word(code) == int.from_bytes(b"\x07" * 32, "big")


@pytest.mark.parametrize(("fork", "passes"), [("Berlin", True), ("London", False)])
def test_code_that_starts_with_ef(fork: str, passes: bool) -> None:
    assert isinstance(world_of(fork).create(returning(b"\xef")), Success) is passes


@pytest.mark.parametrize(("fork", "passes"), [("Tangerine Whistle", True), ("Spurious Dragon", False)])
def test_code_of_more_than_24_kib(fork: str, passes: bool) -> None:
    outcome = world_of(fork).create(operation(Opcode.RETURN, 0, 24_577), gas=6_000_000)
    assert isinstance(outcome, Success) is passes


def test_the_touch_of_ripemd160_survives() -> None:
    """Empty as it is, it goes at the end of the transaction, though the call to it was undone (EIP-161)."""
    for address, remains in ((RIPEMD, False), (Address(EMPTY), True)):
        world = world_of("Spurious Dragon")
        world.state.touch(address)
        world.state.end_transaction(remove_empty=False)
        world.begin()
        world.deploy(OTHER, program(call_operation(Opcode.CALL, address, gas=9_000), push(0), Opcode.JUMP))
        assert isinstance(world.run(call_operation(Opcode.CALL, OTHER, gas=60_000)), Success)
        world.state.end_transaction()
        assert world.state.account_exists(address) is remains


def modexp_input(base: int, exponent: bytes, modulus: int) -> bytes:
    sizes = b"".join(size.to_bytes(32, "big") for size in (base, len(exponent), modulus))
    return sizes + b"\x03" * base + exponent + b"\x05" * modulus


@pytest.mark.parametrize(
    ("number", "data", "byzantium", "istanbul", "berlin"),
    [
        (5, modexp_input(1, b"\xff" * 32, 32), 13_056, 13_056, 1_360),
        (5, modexp_input(128, b"\x01\x00\x01", 128), 10_649, 10_649, 1_365),
        (5, modexp_input(2048, b"\x10\x00\x00", 1), 1_045_504, 1_045_504, 436_906),
        (6, bytes(128), 500, 150, 150),
        (7, bytes(96), 40_000, 6_000, 6_000),
        (8, bytes(384), 260_000, 113_000, 113_000),
    ],
)
def test_prices_of_precompiles(number: int, data: bytes, byzantium: int, istanbul: int, berlin: int) -> None:
    def price(spec: Spec) -> int:
        return spec.precompiles[Address(number.to_bytes(20, "big"))].gas(data)

    found = [price(SPECS_BY_NAME[fork]) for fork in ("Byzantium", "Petersburg", "Istanbul", "Berlin")]
    assert found == [byzantium, byzantium, istanbul, berlin]
