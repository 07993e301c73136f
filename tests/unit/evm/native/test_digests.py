"""Hashes of 64 bytes are remembered, and are the right ones: unwritten places, keys that share one, other sizes."""

from __future__ import annotations

from node.crypto.hashes import keccak256
from node.evm.native.arena import get
from node.evm.native.machine import NativeMachine, load_machine
from node.evm.native.runtime.records import DIGEST_BYTES, DIGESTS, Run
from node.evm.opcodes import Opcode
from node.evm.outcome import Success
from tests.unit.evm.program import RETURN_TOP, World, operation, program, push


def hashes(machine: NativeMachine, rows: list[bytes]) -> list[bytes]:
    """What the machine makes of pieces of data, all in one message."""
    outputs = []
    world = World(machine=machine)
    for data in rows:
        code = program(
            push(len(data)),
            push(0),
            push(0),
            Opcode.CALLDATACOPY,
            operation(Opcode.KECCAK256, 0, len(data)),
            RETURN_TOP,
        )
        outcome = world.run(code, data)
        assert isinstance(outcome, Success)
        outputs.append(outcome.output)
    return outputs


def test_every_size_around_the_one_that_is_remembered(native_machine: NativeMachine) -> None:
    fresh = load_machine()
    rows = [bytes(64), bytes(63), bytes(65), b"\1" * 64, bytes(64), bytes(32) + b"\2" * 32, b"\2" * 32 + bytes(32)]
    assert hashes(fresh, rows) == [keccak256(row) for row in rows]


def test_keys_that_share_a_place_push_each_other_out(native_machine: NativeMachine) -> None:
    fresh = load_machine()
    rows = [key.to_bytes(32, "big") + slot.to_bytes(32, "big") for key in range(400) for slot in (0, 1, 2**255)]
    assert hashes(fresh, rows + rows[::-1]) == [keccak256(row) for row in rows + rows[::-1]]


def test_small_keys_have_places_of_their_own(native_machine: NativeMachine) -> None:
    """Keys of a mapping are mostly small numbers and addresses: they must not all meet in a few places."""
    fresh = load_machine()
    rows = [key.to_bytes(32, "big") + (3).to_bytes(32, "big") for key in range(500)]
    hashes(fresh, rows)
    arena = fresh._idle[0].arena
    assert get(arena.run, Run, "digests") == arena.digests.address
    used = sum(arena.digests.view[place * DIGEST_BYTES] for place in range(DIGESTS))
    assert used > 400
