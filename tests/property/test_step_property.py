"""Every step of structured random programs, under every fork: gas, stack and memory stay within their bounds."""

from __future__ import annotations

import random

import pytest

from node.evm.frame import CALL_DEPTH_LIMIT, Frame
from node.evm.interpreter import Interpreter
from node.evm.machine import FrameResult, Tracer
from node.evm.message import Message
from node.evm.outcome import Halt, Outcome, Success
from node.primitives.scalars import U256_MAX
from tests.differential import node_answers, worlds
from tests.differential.cases import FORKS

CASES = 24
"""Of each fork."""


class Bounds(Tracer):
    """Looks at every step of every frame; its own frame's gas falls, but for what a child gives back."""

    def __init__(self) -> None:
        self.steps = 0
        self._last: dict[int, int] = {}
        self._resumed: set[int] = set()

    def enter(self, message: Message) -> None:
        """Machines are not told."""

    def step(self, frame: Frame, opcode: int) -> None:
        self.steps += 1
        assert 0 <= frame.gas <= frame.message.gas
        assert len(frame.stack) <= 1024
        assert all(0 <= word <= U256_MAX for word in frame.stack[-4:])
        assert len(frame.memory) % 32 == 0
        assert 0 <= frame.message.depth <= CALL_DEPTH_LIMIT
        if id(frame) not in self._resumed:
            assert frame.gas <= self._last.get(id(frame), frame.gas), "gas comes from children only"
        self._resumed.discard(id(frame))
        self._last[id(frame)] = frame.gas

    def fault(self, frame: Frame, opcode: int, halt: Halt) -> None:
        assert halt.gas_left == 0

    def exit(self, message: Message, outcome: Outcome) -> None:
        """Machines are not told."""


class WatchedMachine:
    """The interpreter, every frame of it watched."""

    def __init__(self) -> None:
        self.bounds = Bounds()
        self._machine = Interpreter()
        self._held: list[Frame] = []

    def run_frame(self, frame: Frame, tracer: Tracer | None = None) -> FrameResult:
        """Run it; where it goes on after a child, its gas may have grown."""
        self._held.append(frame)  # so that no other frame gets its id
        self.bounds._resumed.add(id(frame))
        result = self._machine.run_frame(frame, self.bounds)
        if isinstance(result, Success | Halt):
            assert 0 <= result.gas_left <= frame.message.gas
        return result


@pytest.mark.parametrize("fork", FORKS)
def test_bounds_of_every_step(fork: str) -> None:
    machine = WatchedMachine()
    quotient = node_answers.spec_of(fork).gas.refund_quotient
    for seed in range(CASES):
        chance = random.Random(f"{fork} {seed}")
        case = worlds.program_case(chance, fork) if seed % 2 else worlds.transaction_case(chance, fork)
        answer = node_answers.answer(case, machine)
        taken = [tx for index, tx in enumerate(case["txs"]) if index not in answer["rejected"]]
        for tx, used in zip(taken, answer["gas"], strict=True):
            assert 21_000 * (quotient - 1) // quotient <= used <= int(tx["gas"], 16)
    assert machine.bounds.steps > 500
