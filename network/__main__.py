"""``evmesh`` and ``python -m network``: run a command, turn what goes wrong into words and an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import click

from network.cli.group import evmesh
from network.cli.output import report_failure
from network.failures import EXIT_FAILURE, EXIT_INTERRUPTED, Failure


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    sys.exit(run(words))


def run(words: list[str]) -> int:
    """Run the command line; its exit code."""
    try:
        code = evmesh.main(words, prog_name="evmesh", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except Failure as failure:
        report_failure(failure, "--json" in words)
        return failure.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        print("interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # the reader of our output has left (a pager, head): nothing more to say, not even at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILURE


if __name__ == "__main__":
    main()
