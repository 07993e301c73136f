"""What a frame can look at: message, data, other accounts, block."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.crypto.hashes import EMPTY_KECCAK, keccak256
from node.evm.message import TransactionEnvironment
from node.evm.opcodes import Opcode
from node.evm.outcome import Halt, HaltReason, Success
from node.primitives.scalars import Address
from tests.unit.evm.program import (
    COINBASE,
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

WORLD = World()


def number(data: bytes) -> int:
    return int.from_bytes(data, "big")


@pytest.mark.parametrize(
    ("opcode", "value"),
    [
        (Opcode.ADDRESS, number(TARGET)),
        (Opcode.ORIGIN, number(SENDER)),
        (Opcode.CALLER, number(SENDER)),
        (Opcode.CALLVALUE, 5),
        (Opcode.GASPRICE, 9),
        (Opcode.CALLDATASIZE, 3),
        (Opcode.CODESIZE, 9),
        (Opcode.RETURNDATASIZE, 0),
        (Opcode.SELFBALANCE, 5),
        (Opcode.COINBASE, number(COINBASE)),
        (Opcode.TIMESTAMP, 1_700_000_000),
        (Opcode.NUMBER, 1000),
        (Opcode.PREVRANDAO, number(b"\x07" * 32)),
        (Opcode.GASLIMIT, 30_000_000),
        (Opcode.CHAINID, 1337),
        (Opcode.BASEFEE, 7),
        (Opcode.BLOBBASEFEE, 3),
    ],
    ids=lambda value: value.name if isinstance(value, Opcode) else "",
)
def test_environment(world: World, opcode: Opcode, value: int) -> None:
    assert world.word(program(opcode), data=b"abc", value=5) == value


@settings(deadline=None)
@given(data=st.binary(max_size=70), offset=st.one_of(st.integers(0, 80), st.sampled_from((2**64, 2**256 - 1))))
def test_calldataload(data: bytes, offset: int) -> None:
    expected = number(data[offset : offset + 32].ljust(32, b"\x00"))
    assert WORLD.word(operation(Opcode.CALLDATALOAD, offset), data) == expected


@settings(deadline=None)
@given(
    data=st.binary(max_size=70),
    target=st.integers(0, 70),
    source=st.one_of(st.integers(0, 80), st.sampled_from((2**64, 2**256 - 1))),
    size=st.integers(0, 80),
)
def test_calldatacopy(data: bytes, target: int, source: int, size: int) -> None:
    code = program(
        store_code(b"\xff" * 160),
        operation(Opcode.CALLDATACOPY, target, source, size),
        push(160),
        push(0),
        Opcode.RETURN,
    )
    expected = bytearray(b"\xff" * 160)
    expected[target : target + size] = data[source : source + size].ljust(size, b"\x00")
    assert WORLD.run(code, data).output == bytes(expected)


def test_codecopy(world: World) -> None:
    code = program(operation(Opcode.CODECOPY, 0, 1, 40), push(40), push(0), Opcode.RETURN)
    assert world.run(code).output == code[1:].ljust(40, b"\x00")


def test_copy_gas(world: World) -> None:
    assert world.gas_of(operation(Opcode.CALLDATACOPY, 0, 0, 33)) == 9 + 3 + 2 * 3 + 2 * 3
    assert world.gas_of(operation(Opcode.CODECOPY, 32, 0, 0)) == 9 + 3


class TestReturnData:
    """EIP-211."""

    def code(self, target: int, source: int, size: int) -> bytes:
        call = program(call_operation(Opcode.STATICCALL, OTHER), Opcode.POP)
        return program(call, operation(Opcode.RETURNDATACOPY, target, source, size), push(32), push(0), Opcode.RETURN)

    def test_copies(self, world: World) -> None:
        world.deploy(OTHER, returning(b"\x01\x02\x03\x04"))
        assert world.run(self.code(0, 1, 3)).output == b"\x02\x03\x04".ljust(32, b"\x00")

    @pytest.mark.parametrize(("source", "size"), [(0, 5), (4, 1), (5, 0), (2**256 - 1, 1), (2**256 - 1, 0)])
    def test_may_not_leave_the_data(self, world: World, source: int, size: int) -> None:
        world.deploy(OTHER, returning(b"\x01\x02\x03\x04"))
        assert world.run(self.code(0, source, size)) == Halt(HaltReason.RETURN_DATA_OUT_OF_BOUNDS)

    def test_the_very_end_may_be_read(self, world: World) -> None:
        world.deploy(OTHER, returning(b"\x01\x02\x03\x04"))
        assert isinstance(world.run(self.code(0, 4, 0)), Success)


class TestOtherAccounts:
    """Balance and code of others, cold and warm (EIP-2929)."""

    @pytest.mark.parametrize("opcode", [Opcode.BALANCE, Opcode.EXTCODESIZE, Opcode.EXTCODEHASH])
    def test_cold_once(self, world: World, opcode: Opcode) -> None:
        look = program(operation(opcode, number(OTHER)), Opcode.POP)
        assert world.gas_of(program(look, look)) == 2 * (3 + 2) + 2600 + 100

    def test_extcodecopy(self, world: World) -> None:
        world.deploy(OTHER, b"\x60\x01\x02")
        code = program(operation(Opcode.EXTCODECOPY, number(OTHER), 0, 1, 32), push(32), push(0), Opcode.RETURN)
        outcome = world.run(code)
        assert outcome.output == b"\x01\x02".ljust(32, b"\x00")
        assert 1_000_000 - outcome.gas_left == 4 * 3 + 2600 + 3 + 3 + 2 * 3

    def test_the_upper_bytes_of_an_address_do_not_count(self, world: World) -> None:
        assert world.word(operation(Opcode.BALANCE, 0xFF << 160 | number(SENDER))) == 10**18

    def test_a_failed_frame_leaves_nothing_warm(self, world: World) -> None:
        world.run(program(operation(Opcode.BALANCE, number(OTHER)), Opcode.INVALID))
        assert not world.state.is_warm_address(OTHER)

    def test_extcodehash(self, world: World) -> None:
        holder, contract = Address(b"\x01" * 20), Address(b"\x02" * 20)
        world.state.add_balance(holder, 1)
        world.deploy(contract, b"\xfe")
        assert world.word(operation(Opcode.EXTCODEHASH, number(OTHER))) == 0
        assert world.word(operation(Opcode.EXTCODEHASH, number(holder))) == number(EMPTY_KECCAK)
        assert world.word(operation(Opcode.EXTCODEHASH, number(contract))) == number(keccak256(b"\xfe"))

    def test_a_delegated_account_shows_its_designator(self, world: World) -> None:
        designator = b"\xef\x01\x00" + OTHER
        delegated = Address(b"\x03" * 20)
        world.deploy(OTHER, b"\x00" * 99)
        world.deploy(delegated, designator)
        assert world.word(operation(Opcode.EXTCODESIZE, number(delegated))) == 23
        assert world.word(operation(Opcode.EXTCODEHASH, number(delegated))) == number(keccak256(designator))
        copied = program(operation(Opcode.EXTCODECOPY, number(delegated), 0, 0, 23), push(23), push(0), Opcode.RETURN)
        assert world.run(copied).output == designator


class TestBlockhash:
    """The last 256 blocks."""

    @pytest.mark.parametrize(
        ("asked", "answer"), [(999, 999), (744, 744), (743, 0), (1000, 0), (1001, 0), (2**256 - 1, 0), (0, 0)]
    )
    def test_window(self, world: World, asked: int, answer: int) -> None:
        assert world.word(operation(Opcode.BLOCKHASH, asked)) == answer

    def test_genesis_is_remembered_by_its_children(self, world: World) -> None:
        asked: list[int] = []

        def block_hash(number: int) -> bytes:
            asked.append(number)
            return b"\x09" * 32

        world.with_block(number=256, block_hash=block_hash)
        assert world.word(operation(Opcode.BLOCKHASH, 0)) == number(b"\x09" * 32)
        world.with_block(number=257)
        assert world.word(operation(Opcode.BLOCKHASH, 0)) == 0
        assert asked == [0]


@pytest.mark.parametrize(("index", "answer"), [(0, 0x0101), (1, 0x0102), (2, 0), (2**256 - 1, 0)])
def test_blobhash(world: World, index: int, answer: int) -> None:
    hashes = tuple(value.to_bytes(32, "big") for value in (0x0101, 0x0102))
    world.transaction = TransactionEnvironment(SENDER, 9, hashes)
    assert world.word(operation(Opcode.BLOBHASH, index)) == answer
