"""The command tree. A command's module is imported when the command is used, so that each stays quick."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable
from keyword import iskeyword
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from network.cli.completing import network_names

VERSION: Final = "0.1"

# name -> (module, what it does); the order is the order of help
_COMMANDS: Final = {
    "up": ("up", "Start a network of nodes on this machine."),
    "down": ("lifecycle", "Stop a network."),
    "ls": ("lifecycle", "List networks."),
    "demo": ("main_job", "Start four nodes, run real contracts, show that all agree."),
    "status": ("inspection", "Show where every node stands."),
    "logs": ("inspection", "Show the nodes' logs."),
    "accounts": ("inspection", "List the funded accounts."),
    "send": ("transactions", "Send ether or data."),
    "deploy": ("contracts", "Deploy a compiled contract."),
    "call": ("contracts", "Call a contract's function."),
    "watch": ("contracts", "Compare a contract's value on all nodes."),
    "partition": ("link_faults", "Split the network into groups."),
    "heal": ("link_faults", "End the faults of the links."),
    "link": ("link_faults", "Delay, lose, slow down what passes between nodes."),
    "kill": ("processes", "Kill a node (SIGKILL)."),
    "pause": ("processes", "Freeze a node (SIGSTOP)."),
    "resume": ("processes", "Let a paused node go on."),
    "restart": ("processes", "Start a node again."),
    "slow": ("node_faults", "Make a node slow."),
    "clock": ("node_faults", "Set a node's clock wrong."),
    "disk": ("node_faults", "Let a node's disk be full."),
    "byz": ("byz", "Have a node lie."),
    "inject": ("inject", "Carry out a plan of faults."),
    "reorg": ("reorg", "Have blocks replaced (engine pos)."),
    "why": ("why", "Say why no block comes, or none becomes final."),
    "tree": ("tree", "Draw the blocks that are not final yet."),
    "page": ("page", "Say where the network's page is."),
    "bisect": ("bisect", "Find where two nodes part: block, transaction, instruction."),
    "env": ("inspection", "Print variables for other tools."),
    "snapshot": ("snapshot", "Save a network in a file, make one out of it."),
    "load": ("load", "Send transactions at a steady rate, and measure."),
    "simulate": ("simulate", "Run clusters under virtual time, with faults, and judge them."),
    "replay": ("simulate", "Run again what failed in a simulation; make it smaller."),
    "statetest": ("vectors", "Run official state tests."),
    "blocktest": ("vectors", "Run official blockchain tests."),
    "forkchoice": ("forkchoice", "Run official fork choice cases against the pos engine."),
    "t8n": ("evm_tool", "Make a block out of accounts and transactions (geth's evm t8n)."),
    "evm": ("evm_tool", "geth's evm tool: run, t8n, statetest, blocktest."),
    "import": ("chainfile", "Import a chain file, every block validated in full."),
    "export": ("chainfile", "Write a chain to a file."),
    "doctor": ("setup", "Check that this machine can run a network."),
    "provision": ("setup", "Write configuration for containers."),
    "completion": ("setup", "Print the shell's completion script."),
    "version": ("setup", "Print the version."),
}

WAITS: Final = ("none", "included", "finalized")
"""How far a command follows its transaction."""

F = TypeVar("F", bound=Callable[..., Any])


class LazyGroup(click.Group):
    """Finds a command by name in the table above and imports only its module."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of help."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command's module and take the command of that name."""
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f"network.cli.{_COMMANDS[cmd_name][0]}")
        command: click.Command = getattr(module, cmd_name + "_" if iskeyword(cmd_name) else cmd_name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command, or a usage error that names the nearest one."""
        name = args[0]
        if name not in _COMMANDS and not name.startswith("-"):
            near = difflib.get_close_matches(name, _COMMANDS, n=1)
            raise click.UsageError(
                f"there is no command {name!r}" + (f"; did you mean {near[0]}?" if near else "; see evmesh --help"), ctx
            )
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Help from the table, without importing any command."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Every command has --help with examples, and --json for machine-readable output.",
)
@click.version_option(VERSION, "--version", prog_name="evmesh")
def evmesh() -> None:
    """A real Ethereum-like cluster on this machine: several nodes, one chain, one state root.

    \b
    evmesh up                                  four nodes, ten funded accounts
    evmesh send --from 0 --to 1 --value 1eth   a transaction, followed to finality
    evmesh demo --once                         the whole thing, judged, in one go
    """


def json_option(function: F) -> F:
    """``--json``: one JSON document on standard output."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON on standard output.")(function)


def network_option(function: F) -> F:
    """``--network``: which network a command means."""
    return click.option(
        "--network",
        "network_name",
        metavar="NAME",
        envvar="EVMESH_NETWORK",
        shell_complete=network_names,
        help="Which network (evmesh ls lists them). Default: the latest that is running.",
    )(function)


def signer_options(function: F) -> F:
    """``--from`` and ``--key-file``: who signs."""
    key_file = click.option(
        "--key-file", type=click.Path(path_type=Path), help="Sign with the private key in this file instead."
    )
    sender = click.option("--from", "sender", default="0", show_default=True, help="Account index or address.")
    return sender(key_file(function))


def follow_options(function: F) -> F:
    """``--wait`` and ``--timeout``: how far a transaction is followed, and for how long."""
    timeout = click.option(
        "--timeout", type=click.FloatRange(min=0), default=60.0, show_default=True, help="Seconds to wait."
    )
    wait = click.option(
        "--wait",
        type=click.Choice(WAITS),
        is_flag=False,
        flag_value="finalized",
        default="included",
        show_default=True,
        help="How far to follow a transaction; --wait alone means finalized.",
    )
    return wait(timeout(function))
