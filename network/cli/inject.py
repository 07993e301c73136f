"""``inject``: a plan of faults on a running network."""

from __future__ import annotations

from pathlib import Path

import click

from network.cli.group import json_option, network_option
from network.cli.output import Output
from network.cluster import run_directory
from network.cluster.plan_player import Step, play
from network.failures import BadInput, Failure
from network.faults.vocabulary import BadPlan, read_plan


@click.command(
    epilog="""\b
Examples:
  evmesh inject plan.toml
  evmesh inject plan.json --leave
A plan, times in milliseconds from now:
  [[faults]]
  at_ms = 2000
  kind = "partition"
  targets = ["n0", "n1"]
  until_ms = 9000
"""
)
@click.argument("plan", type=click.Path(path_type=Path))
@click.option("--leave", is_flag=True, help="Leave on at the end what the plan does not end.")
@network_option
@json_option
def inject(plan: Path, leave: bool, network_name: str | None, as_json: bool) -> None:
    """Carry out a plan of faults: the same file and the same names as evmesh simulate takes, in real time."""
    out = Output(as_json)
    run = run_directory.find(network_name)
    steps: list[Step] = []

    def told(step: Step) -> None:
        steps.append(step)
        out.line(str(step))

    try:
        failed = play(run, read_plan(plan), leave, told)
    except BadPlan as error:
        raise BadInput(str(error), "the kinds and what they take: network/faults/kinds.py") from None
    if failed:
        raise Failure(
            f"{len(failed)} of {len(steps)} steps could not be done: {failed[0]}", "evmesh status, evmesh heal"
        )
    out.document(
        {
            "steps": [
                {"at_ms": step.at_ms, "begins": step.begins, "fault": step.action.to_json(), "problem": step.problem}
                for step in steps
            ]
        }
    )
