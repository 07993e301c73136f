"""What a command reports when it cannot do its work: a sentence, the next step, and an exit code."""

from __future__ import annotations

from typing import Final

EXIT_FAILURE: Final = 1
EXIT_USAGE: Final = 2
EXIT_DISAGREEMENT: Final = 3
"""An invariant does not hold: nodes disagree, or consensus was violated."""
EXIT_TIMEOUT: Final = 4
EXIT_BUSY: Final = 5
"""A port or a directory is taken."""
EXIT_INTERRUPTED: Final = 130


class Failure(Exception):
    """A failure that is the user's to see. ``hint`` is the next step, ``facts`` go into --json output."""

    exit_code = EXIT_FAILURE

    def __init__(self, message: str, hint: str = "", **facts: object) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.facts = facts


class BadInput(Failure):
    """A flag, a file or an argument that cannot be used."""

    exit_code = EXIT_USAGE


class Disagreement(Failure):
    """Nodes that should be equal are not."""

    exit_code = EXIT_DISAGREEMENT


class TimedOut(Failure):
    """Something did not happen in time."""

    exit_code = EXIT_TIMEOUT


class Busy(Failure):
    """A port or a directory is in use."""

    exit_code = EXIT_BUSY
