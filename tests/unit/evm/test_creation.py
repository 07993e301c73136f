"""CREATE, CREATE2, creation by transaction, SELFDESTRUCT."""

from dataclasses import replace

import pytest

from node.evm.addresses import create2_address, create_address
from node.evm.opcodes import Opcode
from node.evm.outcome import Halt, HaltReason, Revert, Success
from node.forks import paris, shanghai
from node.primitives.scalars import U64_MAX, Address
from tests.unit.evm.program import (
    GAS,
    OTHER,
    SENDER,
    TARGET,
    World,
    call_operation,
    operation,
    program,
    push,
    returning,
    store_code,
)


def number(data: bytes) -> int:
    return int.from_bytes(data, "big")


def creating(init_code: bytes, value: int = 0, salt: int | None = None) -> bytes:
    """A program that creates and leaves the address."""
    if salt is None:
        return program(store_code(init_code), operation(Opcode.CREATE, value, 0, len(init_code)))
    return program(store_code(init_code), operation(Opcode.CREATE2, value, 0, len(init_code), salt))


@pytest.mark.parametrize(
    ("nonce", "address"),
    [
        (0, "cd234a471b72ba2f1ccf0a70fcaba648a5eecd8d"),
        (1, "343c43a37d37dff08ae8c4a11544c718abb4fcf8"),
        (2, "f778b86fa74e846c4f0a1fbd1335fe81c00a0c91"),
    ],
)
def test_create_address(nonce: int, address: str) -> None:
    sender = Address(bytes.fromhex("6ac7ea33f8831ea9dcc53393aaa88b25a785dbf0"))
    assert create_address(sender, nonce).hex() == address


@pytest.mark.parametrize(
    ("sender", "salt", "init_code", "address"),
    [  # EIP-1014's examples
        ("00" * 20, "00" * 32, "00", "4d1a2e2bb4f88f0250f26ffff098b0b30b26bf38"),
        ("deadbeef" + "00" * 16, "00" * 32, "00", "b928f69bb1d91cd65274e3c79d8986362984fda3"),
        ("00" * 20, "00" * 32, "deadbeef", "70f2b2914a2a4b783faefb75f459a580616fcb5e"),
        ("00" * 20, "00" * 32, "", "e33c0c7f7df4809055c3eba6c09cfe4baf1bd9e0"),
    ],
)
def test_create2_address(sender: str, salt: str, init_code: str, address: str) -> None:
    made = create2_address(Address(bytes.fromhex(sender)), bytes.fromhex(salt), bytes.fromhex(init_code))
    assert made.hex() == address


@pytest.mark.parametrize("salt", [None, 5])
def test_creates(world: World, salt: int | None) -> None:
    world.state.add_balance(TARGET, 10)
    init_code = returning(b"\x60\x01")
    made = world.word(creating(init_code, value=4, salt=salt))
    if salt is None:
        expected = create_address(TARGET, 1)
    else:
        expected = create2_address(TARGET, salt.to_bytes(32, "big"), init_code)
    assert made == number(expected)
    assert world.state.code(expected) == b"\x60\x01"
    assert world.state.nonce(expected) == 1
    assert world.state.balance(expected) == 4
    assert world.state.nonce(TARGET) == 2
    assert world.state.is_warm_address(expected)


def test_gas_of_create(world: World) -> None:
    # memory, then base, 2 a word of init code (EIP-3860), the init code's own run, 200 a byte deposited
    init_code = returning(b"\x60\x01")
    run = 3 * 5 + 3
    stored = world.gas_of(store_code(init_code))
    words = (len(init_code) + 31) // 32
    assert world.gas_of(creating(init_code)) == stored + 9 + 32_000 + 2 * words + run + 400
    assert world.gas_of(creating(init_code, salt=1)) == stored + 12 + 32_000 + 8 * words + run + 400
    world.spec = paris.SPEC
    assert world.gas_of(creating(init_code, salt=2)) == stored + 12 + 32_000 + 6 * words + run + 400


def test_init_code_gets_all_but_a_64th(world: World) -> None:
    init_code = program(Opcode.INVALID)
    left = GAS - world.gas_of(store_code(init_code)) - 9 - 32_000 - 2
    outcome = world.run(creating(init_code))
    assert outcome == Success(left // 64, b"")
    assert world.state.nonce(TARGET) == 2  # the nonce outlives the failure


def test_revert_data_comes_back_success_data_does_not(world: World) -> None:
    reverting = program(store_code(b"why"), push(3), push(0), Opcode.REVERT)
    assert world.word(program(creating(reverting), Opcode.RETURNDATASIZE, Opcode.ADD)) == 3
    assert world.word(program(creating(returning(b"\x01")), Opcode.POP, Opcode.RETURNDATASIZE)) == 0


class TestDeposit:
    """What init code may return."""

    def test_0xef_is_refused(self, world: World) -> None:
        assert world.create(returning(b"\xef")) == Halt(HaltReason.INVALID_CODE_PREFIX)
        assert world.state.code(OTHER) == b""
        assert world.state.nonce(OTHER) == 0
        assert isinstance(world.create(returning(b"\xfe\xef")), Success)

    @pytest.mark.parametrize(("size", "fits"), [(24_576, True), (24_577, False)])
    def test_size(self, world: World, size: int, fits: bool) -> None:
        outcome = world.create(program(push(size), push(0), Opcode.RETURN), gas=10**7)
        if fits:
            assert outcome.output == bytes(size)
        else:
            assert isinstance(outcome, Halt)
            assert outcome.reason is HaltReason.CODE_SIZE_EXCEEDED

    def test_price(self, world: World) -> None:
        init_code = returning(b"\x01\x02")
        run = 3 * 5 + 3
        assert world.create(init_code, gas=run + 400) == Success(0, b"\x01\x02")
        world = World()
        assert world.create(init_code, gas=run + 399) == Halt(HaltReason.OUT_OF_GAS, "code deposit")
        assert world.state.nonce(OTHER) == 0

    def test_nothing_returned_is_a_contract_without_code(self, world: World) -> None:
        assert world.create(b"", value=3) == Success(GAS, b"")
        assert world.state.nonce(OTHER) == 1
        assert world.state.balance(OTHER) == 3

    def test_revert(self, world: World) -> None:
        outcome = world.create(program(push(0), push(0), Opcode.REVERT), value=3)
        assert outcome == Revert(GAS - 6, b"")
        assert world.state.nonce(OTHER) == 0
        assert world.state.balance(OTHER) == 0


class TestInitCodeSize:
    """EIP-3860."""

    def code(self, size: int) -> bytes:
        return operation(Opcode.CREATE, 0, 0, size)

    def test_limit(self, world: World) -> None:
        assert isinstance(world.run(self.code(49_152)), Success)
        outcome = world.run(self.code(49_153))
        assert isinstance(outcome, Halt)
        assert outcome.reason is HaltReason.INITCODE_SIZE_EXCEEDED

    def test_no_limit_before(self, world: World) -> None:
        world.spec = paris.SPEC
        assert isinstance(world.run(self.code(49_153)), Success)
        world.spec = shanghai.SPEC
        assert isinstance(world.run(self.code(49_153)), Halt)


class TestRefused:
    """Nothing happens, nothing but the asking is paid."""

    def test_balance(self, world: World) -> None:
        assert world.gas_of(operation(Opcode.CREATE, 1, 0, 0)) == 9 + 32_000
        assert world.state.nonce(TARGET) == 1

    def test_depth(self, world: World) -> None:
        world.run(operation(Opcode.CREATE, 0, 0, 0), depth=1024)
        assert world.state.nonce(TARGET) == 1

    def test_nonce(self, world: World) -> None:
        code = operation(Opcode.CREATE, 0, 0, 0)
        world.deploy(TARGET, code, nonce=U64_MAX)
        assert world.gas_of(code) == 9 + 32_000
        assert world.state.nonce(TARGET) == U64_MAX


@pytest.mark.parametrize("obstacle", ["nonce", "code", "storage"])
def test_collision(world: World, obstacle: str) -> None:
    there = create_address(TARGET, 1)
    if obstacle == "nonce":
        world.state.set_nonce(there, 1)
    elif obstacle == "code":
        world.state.set_code(there, b"\x00")
    else:
        world.state.set_storage(there, 1, 1)
    outcome = world.run(operation(Opcode.CREATE, 0, 0, 0))
    assert outcome == Success((GAS - 9 - 32_000) // 64, b"")  # the child's gas is gone
    assert world.state.nonce(TARGET) == 2
    assert world.state.is_warm_address(there)


def test_collision_of_a_transaction_s_creation(world: World) -> None:
    world.deploy(OTHER, b"\x00")
    assert world.create(b"") == Halt(HaltReason.ADDRESS_COLLISION)


def test_balance_alone_is_no_collision(world: World) -> None:
    world.state.add_balance(OTHER, 5)
    assert isinstance(world.create(b"", value=1), Success)
    assert world.state.balance(OTHER) == 6


class TestSelfDestruct:
    """EIP-6780, and its price."""

    def test_old_contract_keeps_its_code(self, world: World) -> None:
        code = operation(Opcode.SELFDESTRUCT, number(OTHER))
        world.deploy(TARGET, code, balance=9)
        world.state.end_transaction()
        world.begin()
        assert world.gas_of(code) == 3 + 5000 + 2600 + 25_000
        world.state.end_transaction()
        assert world.state.balance(OTHER) == 9
        assert world.state.code(TARGET) == code

    @pytest.mark.parametrize(
        ("balance", "alive", "warm", "gas"),
        [(0, False, False, 2600), (0, False, True, 0), (1, True, False, 2600), (1, False, True, 25_000)],
    )
    def test_price(self, world: World, balance: int, alive: bool, warm: bool, gas: int) -> None:
        if alive:
            world.state.add_balance(OTHER, 1)
        if warm:
            world.state.access_address(OTHER)
        if balance:
            world.state.add_balance(TARGET, balance)
        assert world.gas_of(operation(Opcode.SELFDESTRUCT, number(OTHER))) == 3 + 5000 + gas

    def test_new_contract_goes(self, world: World) -> None:
        world.state.add_balance(TARGET, 10)
        destroying = operation(Opcode.SELFDESTRUCT, number(OTHER))
        made = create_address(TARGET, 1)
        world.run(creating(destroying, value=4))
        assert world.state.balance(OTHER) == 4
        world.state.end_transaction()
        assert not world.state.account_exists(made)

    def test_older_rules_delete_any(self, world: World) -> None:
        world.spec = shanghai.SPEC
        code = operation(Opcode.SELFDESTRUCT, number(OTHER))
        world.deploy(TARGET, code, balance=9)
        world.state.end_transaction()
        world.begin()
        world.run(code)
        world.state.end_transaction()
        assert not world.state.account_exists(TARGET)

    def test_is_undone_when_its_caller_reverts(self, world: World) -> None:
        world.deploy(OTHER, operation(Opcode.SELFDESTRUCT, number(SENDER)), balance=5)
        world.run(program(call_operation(Opcode.CALL, OTHER), push(0), push(0), Opcode.REVERT))
        world.state.end_transaction()
        assert world.state.balance(OTHER) == 5


def test_prices_come_from_the_spec(world: World) -> None:
    """Another schedule, another price: nothing is written into the instructions."""
    world.spec = world.spec.evolve(gas=replace(world.spec.gas, code_deposit_byte=0, initcode_word=0))
    assert world.create(returning(b"\x01\x02"), gas=18) == Success(0, b"\x01\x02")
