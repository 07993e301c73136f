"""What running a case showed, and how refusals compare with the names that fixtures expect."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from node.types.invalid import InvalidBlock, InvalidTransaction


@dataclass(frozen=True, slots=True)
class Verdict:
    """One case. ``problem`` is empty where it passed; ``got_exception`` is our official name of a refusal."""

    file: str
    name: str
    fork: str
    problem: str = ""
    index: int | None = None
    """Which of the fork's results in a state test."""
    state_root: bytes | None = None
    """After the case, as computed here."""
    expected_exception: str = ""
    got_exception: str = ""
    name_differs: str = ""
    """Only the exception's name is another; not a failure."""
    seconds: float = 0.0
    state: dict[str, Any] | None = None
    """Our post state as an allocation, where it was asked for."""

    @property
    def passed(self) -> bool:
        """The outcome is the expected one."""
        return not self.problem

    @property
    def case(self) -> str:
        """``file::name[fork-index]``."""
        place = "" if self.index is None else f"[{self.fork}-{self.index}]"
        return f"{self.file}::{self.name}{place}"

    def to_json(self) -> dict[str, Any]:
        """geth's fields, and ours behind them."""
        found: dict[str, Any] = {
            "name": self.name,
            "pass": self.passed,
            "fork": self.fork,
            "stateRoot": None if self.state_root is None else "0x" + self.state_root.hex(),
        }
        if self.problem:
            found["error"] = self.problem
        if self.state is not None:
            found["state"] = self.state
        found["file"] = self.file
        if self.index is not None:
            found["index"] = self.index
        if self.expected_exception:
            found["expectException"] = self.expected_exception
            found["exception"] = self.got_exception or None
            found["exceptionAsNamed"] = bool(self.got_exception) and not self.name_differs
        found["seconds"] = round(self.seconds, 3)
        return found


def exception_name(refusal: InvalidTransaction | InvalidBlock) -> str:
    """The refusal as execution-spec-tests names it."""
    cause = refusal.__cause__
    if isinstance(refusal, InvalidBlock) and isinstance(cause, InvalidTransaction):
        return exception_name(cause)
    kind = "TransactionException" if isinstance(refusal, InvalidTransaction) else "BlockException"
    return f"{kind}.{refusal.reason.value}"


CHEAPER_FIRST: Final = ("BlockException.INVALID_TRANSACTIONS_ROOT", "BlockException.BLOB_GAS_USED_ABOVE_LIMIT")
"""What we find before executing anything, where fixtures name the transaction: some of their invalid blocks have a
header made without that transaction, or with more blob gas than a block may have."""


def name_difference(expected: str, ours: str) -> str:
    """Empty where ``ours`` is one of the expected names; older fixtures with other names are not compared."""
    if "Exception." not in expected:
        return ""
    if ours in CHEAPER_FIRST and "TransactionException." in expected:
        return ""
    return "" if ours in expected.split("|") else f"{expected} but {ours}"
