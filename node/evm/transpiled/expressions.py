"""Words as Python text: names of locals, numbers, and comparisons that nobody has needed as a number yet.

Operands come top of the stack first, as in the Yellow Paper's appendix H.2. Text is made of these templates, of names
that the writer chose and of integers, of nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Final, TypeAlias

from node.evm.instruction import Execute

MASK: Final = f"{2**256 - 1:#x}"
HIGH: Final = f"{2**255:#x}"


@dataclass(frozen=True, slots=True)
class Truth:
    """1 or 0: ``yes`` and ``no`` are conditions in Python, one the opposite of the other."""

    yes: str
    no: str


Word: TypeAlias = int | str | Truth
"""A constant, the name of a local, or a comparison."""


def text(word: Word) -> str:
    """As an expression that is whole wherever it stands."""
    if isinstance(word, Truth):
        return f"(1 if {word.yes} else 0)"
    return str(word)


def condition(word: str | Truth) -> str:
    """Python's truth of it."""
    return word.yes if isinstance(word, Truth) else word


_TEMPLATES: Final[dict[str, str]] = {
    "add": "({0} + {1}) & " + MASK,
    "mul": "({0} * {1}) & " + MASK,
    "sub": "({0} - {1}) & " + MASK,
    "div": "{0} // {1} if {1} else 0",
    "sdiv": "sdiv({0}, {1})",
    "mod": "{0} % {1} if {1} else 0",
    "smod": "smod({0}, {1})",
    "addmod": "({0} + {1}) % {2} if {2} else 0",
    "mulmod": "({0} * {1}) % {2} if {2} else 0",
    "signextend": "signextend({0}, {1})",
    "and_": "{0} & {1}",
    "or_": "{0} | {1}",
    "xor": "{0} ^ {1}",
    "not_": "{0} ^ " + MASK,
    "byte": "({1} >> (248 - 8 * {0})) & 255 if {0} < 32 else 0",
    "shl": "({1} << {0}) & " + MASK + " if {0} < 256 else 0",
    "shr": "{1} >> {0} if {0} < 256 else 0",
    "sar": "(({1} ^ " + HIGH + ") - " + HIGH + " >> ({0} if {0} < 256 else 256)) & " + MASK,
    "clz": "256 - {0}.bit_length()",
}
_WITH_CONSTANT_SECOND: Final[dict[str, str]] = {"div": "{0} // {1}", "mod": "{0} % {1}"}
"""For a second operand that is known and not 0."""
_WITH_SMALL_FIRST: Final[dict[str, str]] = {
    "shl": "({1} << {0}) & " + MASK,
    "shr": "{1} >> {0}",
    "sar": "(({1} ^ " + HIGH + ") - " + HIGH + " >> {0}) & " + MASK,
}
"""For a first operand that is known and below 256."""
_COMPARISONS: Final[dict[str, tuple[str, str]]] = {
    "lt": ("{0} < {1}", "{0} >= {1}"),
    "gt": ("{0} > {1}", "{0} <= {1}"),
    "slt": ("({0} ^ " + HIGH + ") < ({1} ^ " + HIGH + ")", "({0} ^ " + HIGH + ") >= ({1} ^ " + HIGH + ")"),
    "sgt": ("({0} ^ " + HIGH + ") > ({1} ^ " + HIGH + ")", "({0} ^ " + HIGH + ") <= ({1} ^ " + HIGH + ")"),
    "eq": ("{0} == {1}", "{0} != {1}"),
}


def fold(execute: Execute, operands: list[int]) -> int:
    """What the plain function makes of constants; it must ask for nothing but the stack."""
    frame = SimpleNamespace(stack=operands[::-1])
    execute(frame)
    result = frame.stack[-1]
    assert isinstance(result, int)
    return result


def comparison(name: str, operands: list[Word]) -> Truth | None:
    """The comparison that ``name`` makes of operands that are not all constants; None where it makes none."""
    if name == "iszero":
        only = operands[0]
        if isinstance(only, Truth):
            return Truth(only.no, only.yes)
        return Truth(f"not {text(only)}", text(only))
    found = _COMPARISONS.get(name)
    if found is None:
        return None
    first, second = (text(operand) for operand in operands)
    return Truth(found[0].format(first, second), found[1].format(first, second))


def expression(name: str, operands: list[Word]) -> str:
    """The word that ``name`` makes of operands that are not all constants. For one statement of its own."""
    template = _TEMPLATES[name]
    first = operands[0]
    if isinstance(first, int) and first < 256:
        template = _WITH_SMALL_FIRST.get(name, template)
    if len(operands) == 2 and isinstance(operands[1], int) and operands[1] != 0:
        template = _WITH_CONSTANT_SECOND.get(name, template)
    return template.format(*(text(operand) for operand in operands))


LOOKS: Final[dict[str, str]] = {
    "address": "from_bytes(frame.address)",
    "origin": "from_bytes(frame.transaction.origin)",
    "caller": "from_bytes(frame.message.caller)",
    "callvalue": "frame.message.value",
    "gasprice": "frame.transaction.gas_price",
    "calldatasize": "len(frame.message.data)",
    "codesize": "frame.code.size",
    "returndatasize": "len(frame.return_data)",
    "msize": "len(memory)",
    "timestamp": "frame.block.timestamp",
    "number": "frame.block.number",
    "gaslimit": "frame.block.gas_limit",
    "chainid": "frame.block.chain_id",
    "basefee": "frame.block.base_fee_per_gas",
}
"""What a frame can be asked, by the plain function's name."""
