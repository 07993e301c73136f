"""What running a vector showed, and the specs by the names that fixtures use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from node.evm.spec import Spec
from node.forks.schedule import SPECS_BY_NAME
from node.types.invalid import InvalidBlock, InvalidTransaction

SPECS = SPECS_BY_NAME
"""Fork name as in fixtures -> rules."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One case. ``problem`` is empty where it passed; ``name_differs``: only the exception's name did not fit."""

    case: str
    fork: str
    problem: str = ""
    name_differs: str = ""

    @property
    def passed(self) -> bool:
        """The outcome is the expected one."""
        return not self.problem


def spec_of(network: str) -> Callable[[int], Spec] | None:
    """Timestamp -> rules of a fixture's network (``X`` or ``XToYAtTime15k``); None where we do not have it."""
    if network in SPECS:
        spec = SPECS[network]
        return lambda timestamp: spec
    if network.endswith("AtTime15k"):
        first, _, second = network.removesuffix("AtTime15k").partition("To")
        if first in SPECS and second in SPECS:
            before, after = SPECS[first], SPECS[second]
            return lambda timestamp: after if timestamp >= 15_000 else before
    return None


def named(refusal: InvalidTransaction | InvalidBlock) -> str:
    """The refusal as execution-spec-tests names it."""
    cause = refusal.__cause__
    if isinstance(refusal, InvalidBlock) and isinstance(cause, InvalidTransaction):
        return named(cause)
    kind = "TransactionException" if isinstance(refusal, InvalidTransaction) else "BlockException"
    return f"{kind}.{refusal.reason.value}"


CHEAPER_FIRST = ("BlockException.INVALID_TRANSACTIONS_ROOT", "BlockException.BLOB_GAS_USED_ABOVE_LIMIT")
"""What we find before executing anything, where fixtures name the transaction: some of their invalid blocks have a
header made without that transaction, or with more blob gas than a block may have."""


def name_difference(expected: str, refusal: InvalidTransaction | InvalidBlock) -> str:
    """Empty where the refusal is one of the expected; older fixtures with other names are not compared."""
    if "Exception." not in expected:
        return ""
    ours = named(refusal)
    if ours in CHEAPER_FIRST and "TransactionException." in expected:
        return ""
    return "" if ours in expected.split("|") else f"{expected} but {ours}"


def number(text: str) -> int:
    """A hex or decimal number of a fixture."""
    return int(text, 16) if text.startswith("0x") else int(text)


def data(text: str) -> bytes:
    """Hex bytes of a fixture."""
    return bytes.fromhex(text.removeprefix("0x"))
