"""One code under one fork's rules: how often jumps landed where, and the regions that were worth compiling.

Compiling costs time, so it is earned: every landing of the plain loop is worth a share of an instruction compiled, and
a place is compiled once it has been landed on often enough and its region can be paid. However code is written,
compiling takes at most a few times as long as what has run of it, and code that runs rarely is never looked at.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import CodeType, FunctionType
from typing import Any, Final, TypeAlias

from node.evm.code import Code
from node.evm.frame import Frame
from node.evm.transpiled.regions import Finder
from node.evm.transpiled.rules import Rules
from node.evm.transpiled.writer import TooLong, Writer


@dataclass(frozen=True, slots=True)
class Thrift:
    """When compiling is worth it."""

    look_every: int = 8
    """Landings at one place, before it is looked at for the first time and again; a power of 2, at most 64."""
    landings_per_step: int = 4
    """Price of an instruction: compiling one takes as long as 50 in the plain loop, and a landing is 3 at least."""
    only_seen: bool = True
    """Regions go where a jump has landed before."""


STEPS_MAX: Final = 12_000
"""Compiled of one code: what is hot of any real contract, and a bound for the others."""
PROGRAM_BYTES: Final = 1_000
"""What a program without regions counts for, its code aside."""

RegionFunction: TypeAlias = Callable[[Frame], Any]


class Program:
    """What is known about one code. Threads may share it: at worst a region is compiled twice."""

    __slots__ = (
        "_code",
        "_prices",
        "_spent",
        "_steps",
        "_thrift",
        "bytes",
        "earned",
        "heat",
        "look_mask",
        "regions",
        "rules",
    )

    def __init__(self, code: Code, rules: Rules, thrift: Thrift) -> None:
        self._code = code
        self._thrift = thrift
        self.rules = rules
        self.regions: dict[int, RegionFunction] = {}
        """Compiled ones by their first instruction."""
        self.bytes = PROGRAM_BYTES + 3 * code.size
        """Of memory, about."""
        self.heat = bytearray(len(code.padded))
        """Landings at each place; where ``look_mask`` takes the next one to 0, it is looked at."""
        self.look_mask = thrift.look_every - 1
        self._prices: dict[int, int] = {}
        """Of regions that were too dear when they were looked at, by their first instruction."""
        self.earned = 0
        """Landings that led to a look, and those that they stand for."""
        self._spent = 0
        self._steps = 0

    def landed(self, pc: int) -> RegionFunction | None:
        """Take note of a landing at ``pc``, where no region begins; the region that begins there from now on."""
        warmer = self.heat[pc] + 1
        if warmer & self.look_mask:
            self.heat[pc] = warmer
            return None
        self.earned += self._thrift.look_every
        self.heat[pc] = warmer % 256 or self._thrift.look_every
        if self.earned < self._spent + self._prices.get(pc, 0):
            return None
        return self._compile(pc)

    def _compile(self, pc: int) -> RegionFunction | None:
        """The region at ``pc``, if it can be paid; else its price is remembered."""
        thrift = self._thrift
        region = Finder(self._code, self.rules.steps, self.heat if thrift.only_seen else None).region(pc)
        price = region.steps * thrift.landings_per_step
        if self._steps + region.steps > STEPS_MAX:
            self._prices[pc] = sys.maxsize
            return None
        if self.earned < self._spent + price:
            self._prices[pc] = price
            return None
        self._spent += price
        self._steps += region.steps
        try:
            function = compiled(Writer(region, self.rules).source(), self.rules)
        except TooLong:
            self._prices[pc] = sys.maxsize
            return None
        self.bytes += bytes_of(function.__code__)
        self.regions[pc] = function
        self.heat[pc] = self.look_mask
        return function


def compiled(source: str, rules: Rules) -> FunctionType:
    """The function that ``source`` defines, its globals those of ``rules``."""
    module = compile(source, "<evm>", "exec", dont_inherit=True, optimize=2)
    code = next(constant for constant in module.co_consts if isinstance(constant, CodeType))
    return FunctionType(code, rules.names)


def bytes_of(code: CodeType) -> int:
    """What a code object holds, about; Python keeps a second copy of the instructions to adapt."""
    held = sum(map(sys.getsizeof, (*code.co_consts, *code.co_varnames, code.co_linetable, code.co_exceptiontable)))
    return 2 * len(code.co_code) + held + sys.getsizeof(code)
