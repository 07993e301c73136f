"""``evm statetest``, ``evm blocktest``: the vector commands with geth's flags; results are JSON unless --human."""

from __future__ import annotations

import sys
from typing import Any

import click

from network.cli.vectors import evm_option, run_vectors
from network.vectors.running import Kind


class GethCommand(click.Command):
    """Takes switches as Go programs do, too: ``--trace.nomemory=true``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """``--x=true`` is ``--x``; ``--x=false`` is nothing."""
        switches = {
            name
            for parameter in self.params
            if isinstance(parameter, click.Option) and parameter.is_flag
            for name in parameter.opts
        }
        plain: list[str] = []
        for word in args:
            name, equals, value = word.partition("=")
            if equals and name in switches and value in ("true", "false"):
                plain += [name] if value == "true" else []
            else:
                plain.append(word)
        return super().parse_args(ctx, plain)


_OPTIONS = [
    click.argument("paths", nargs=-1, metavar="FILE..."),
    click.option("--fork", "--statetest.fork", "forks", multiple=True, metavar="FORK", help="Only this fork."),
    click.option("--run", "pattern", default="", metavar="REGEX", help="Only cases whose name matches."),
    click.option("--jobs", type=click.IntRange(1, 256), default=1, show_default=True, help="Processes."),
    evm_option,
    click.option("--human", is_flag=True, help="A table instead of JSON."),
    click.option("--json", "as_json", is_flag=True, help="JSON (the default)."),
    click.option("--dump", is_flag=True, help="Add the accounts after each case."),
    click.option("--trace", is_flag=True, help="EIP-3155 lines on standard error."),
    click.option("--trace.format", "trace_format", type=click.Choice(["json"]), default="json", hidden=True),
    click.option("--trace.memory", "trace_memory", is_flag=True, help="Steps with memory."),
    click.option("--trace.nomemory", "no_memory", is_flag=True, help="Steps without memory (the default)."),
    click.option("--trace.nostack", "no_stack", is_flag=True, help="Steps without the stack."),
    click.option("--trace.returndata", "trace_return_data", is_flag=True, help="Steps with the return data."),
    click.option("--trace.noreturndata", "no_return_data", is_flag=True, help="Steps without it (the default)."),
]
_EXAMPLES = """\b
Without FILE, names are read from standard input, one a line.

\b
Examples:
  evmesh evm {0} vector.json
  evmesh evm {0} --trace --trace.format=json --trace.nomemory=true vector.json
"""


def _command(kind: Kind, name: str, text: str) -> click.Command:
    def callback(paths: tuple[str, ...], **flags: Any) -> int:
        if paths:
            return _run(kind, paths, flags)
        # batch mode: whoever writes the names waits for each answer
        codes = [_run(kind, (line.strip(),), flags) for line in sys.stdin if line.strip()]
        return max(codes, default=0)

    command = click.command(name, cls=GethCommand, help=text, epilog=_EXAMPLES.format(name))(callback)
    for option in reversed(_OPTIONS):
        command = option(command)
    if kind is Kind.STATE:
        command = click.option("--index", "--statetest.index", "index", type=click.IntRange(min=0))(command)
    return command


def _run(kind: Kind, paths: tuple[str, ...], flags: dict[str, Any]) -> int:
    return run_vectors(
        kind,
        paths,
        as_json=not flags["human"],
        forks=flags["forks"],
        pattern=flags["pattern"],
        jobs=flags["jobs"],
        dump=flags["dump"],
        index=flags.get("index"),
        evm=flags["evm"],
        trace=flags["trace"],
        trace_stack=not flags["no_stack"],
        trace_memory=flags["trace_memory"] and not flags["no_memory"],
        trace_return_data=flags["trace_return_data"] and not flags["no_return_data"],
    )


statetest = _command(Kind.STATE, "statetest", "Run state tests; exit code 0 only if all pass.")
blocktest = _command(Kind.BLOCK, "blocktest", "Run blockchain tests; exit code 0 only if all pass.")
