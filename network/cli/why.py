"""``why``: a plain answer to why something does not happen."""

from __future__ import annotations

import click

from network.cli.group import json_option, network_option
from network.cli.output import Output
from network.cluster import run_directory
from network.cluster.diagnosis import why_not_final, why_stalled
from network.cluster.pending import why_pending
from network.cluster.reports import take_reports
from network.failures import BadInput

QUESTIONS = ("stalled", "not-finalized", "pending")


@click.command(
    epilog="""\b
Examples:
  evmesh why                    why no block comes
  evmesh why not-finalized      why blocks do not become final
  evmesh why pending 0x5c50…    why this transaction is in no block
"""
)
@click.argument("question", default="stalled", type=click.Choice(QUESTIONS))
@click.argument("transaction", required=False)
@network_option
@json_option
def why(question: str, transaction: str | None, network_name: str | None, as_json: bool) -> None:
    """Say which votes are missing, from whom, and which fault explains it."""
    out = Output(as_json)
    run = run_directory.find(network_name)
    if (question == "pending") != (transaction is not None):
        raise BadInput(
            "pending takes a transaction's hash, the other questions take nothing",
            "for example: evmesh why pending 0x5c50…, or evmesh why stalled",
        )
    if transaction is not None:
        digits = transaction.removeprefix("0x")
        if len(digits) != 64 or any(digit not in "0123456789abcdefABCDEF" for digit in digits):
            raise BadInput(f"{transaction!r} is no transaction hash", "it has 64 hex digits after 0x")
        answer = why_pending(run, "0x" + digits.lower())
    else:
        reports = take_reports(run)
        answer = why_stalled(reports) if question == "stalled" else why_not_final(reports)
    for line in answer.lines():
        out.line(line)
    out.document({"question": question, "network": run.name, **answer.to_json()})
