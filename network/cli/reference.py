"""All commands as one page of Markdown, out of the commands themselves: ``python -m network.cli.reference``."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import click

from network.cli.group import evmesh

_HEAD = """# Commands

Written by `python -m network.cli.reference` from the commands themselves; a test holds it to them. Every command has
`--help` with the same text, and `--json`: data on standard output, progress on standard error. Exit codes: 0 ok,
1 failure, 2 usage, 3 nodes disagree or a promise of the network broke, 4 timeout, 5 port or directory busy, 130 Ctrl-C.
"""


def as_markdown() -> str:
    """The whole page."""
    top = click.Context(evmesh, info_name="evmesh")
    parts = [_HEAD]
    for command, context in _commands(evmesh, top):
        parts.append("\n".join(_section(command, context)))
    return "\n".join(parts)


def _commands(group: click.Group, context: click.Context) -> Iterator[tuple[click.Command, click.Context]]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None, name
        inner = click.Context(command, info_name=name, parent=context)
        yield command, inner
        if isinstance(command, click.Group):
            yield from _commands(command, inner)


def _section(command: click.Command, context: click.Context) -> Iterator[str]:
    arguments = [_placeholder(one) for one in command.params if isinstance(one, click.Argument)]
    yield f"## `{' '.join([context.command_path, *arguments])}`"
    yield ""
    yield _paragraphs(command.help)
    rows = [row for one in command.params if isinstance(one, click.Option) and not one.hidden for row in _row(one)]
    if rows:
        yield ""
        yield "| option | |"
        yield "|---|---|"
        yield from rows
    examples = _examples(command.epilog)
    if examples:
        yield ""
        yield "```console"
        yield from (f"$ {line}" if line.startswith("evmesh") else line for line in examples)
        yield "```"
    yield ""


def _paragraphs(text: str | None) -> str:
    """Help as it is, but for click's marks; what stands after \\b is laid out by hand."""
    blocks = inspect.cleandoc(text or "").split("\n\n")
    shown = [
        "```text\n" + block.removeprefix("\b\n") + "\n```" if block.startswith("\b") else " ".join(block.split())
        for block in blocks
    ]
    return "\n\n".join(shown)


def _placeholder(parameter: click.Parameter) -> str:
    """What stands for a value, worded here because click's own wording differs between its versions."""
    kind = parameter.type
    words = "|".join(map(str, kind.choices)) if isinstance(kind, click.Choice) else kind.name.split()[0].upper()
    if isinstance(parameter, click.Option):
        return parameter.metavar or words
    name = parameter.metavar or (parameter.name or words).upper()
    name += "..." if parameter.nargs != 1 else ""
    return name if parameter.required else f"[{name}]"


def _row(option: click.Option) -> Iterator[str]:
    names = ", ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))
    kind = "" if option.is_flag or option.count else f" `{_placeholder(option)}`"
    told = " ".join((option.help or "").split())
    if option.show_default and option.default is not None and "default" not in told:
        told += f" Default: {option.default}."
    yield f"| {names}{kind.replace('|', chr(92) + '|')} | {told.replace('|', chr(92) + '|')} |"


def _examples(epilog: str | None) -> list[str]:
    lines = inspect.cleandoc((epilog or "").replace("\b", "")).splitlines()
    return [line.strip() for line in lines if line.strip() and line.strip() != "Examples:"]


if __name__ == "__main__":
    print(as_markdown(), end="")
