"""What the shell offers behind a command: nodes, networks, functions of deployed contracts."""

from __future__ import annotations

import click

from network.failures import Failure


def node_names(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Nodes of the network that the command line means; of a list with commas the last one."""
    # imported here: only who presses Tab needs it
    from network.cluster import run_directory

    try:
        names = run_directory.find(context.params.get("network_name"), must_run=False).node_names()
    except Failure:
        return []
    before, comma, last = incomplete.rpartition(",")
    return [before + comma + name for name in names if name.startswith(last)]


def network_names(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Networks on disk."""
    # imported here: only who presses Tab needs it
    from network.cluster import run_directory

    return [run.name for run in run_directory.all_runs() if run.name.startswith(incomplete)]


def functions(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """``Contract.function`` of what was deployed."""
    # imported here: only who presses Tab needs it
    from network.cluster import run_directory

    try:
        deployed = run_directory.find(context.params.get("network_name"), must_run=False).contracts()
    except Failure:
        return []
    offered = [
        f"{name}.{entry['name']}"
        for name, contract in deployed.items()
        for entry in contract.get("abi", ())
        if entry.get("type") == "function"
    ]
    return [one for one in dict.fromkeys(offered) if one.startswith(incomplete)]
