"""Writes ``tests/vectors/own/old_forks.json.xz``: ``python -m tests.unit.forks.pin_answers`` (ethereum-execution)."""

from __future__ import annotations

import json
import lzma
from pathlib import Path

from tests.unit.forks import reference_spec
from tests.unit.forks.programs import digest, generate

PROGRAMS = 150


def main() -> None:
    cases = []
    for seed in range(PROGRAMS):
        subject = generate(seed)
        answers = {fork: digest(reference_spec.answer(subject.under(fork))) for fork in reference_spec.PACKAGES}
        cases.append(
            {
                "seed": seed,
                "code": subject.code.hex(),
                "gas": subject.gas,
                "value": subject.value,
                "creates": subject.creates,
                "answers": answers,
            }
        )
    about = "answers of the Python execution specification; programs.py says what the numbers are, pin_answers.py how"
    path = Path(__file__).parents[2] / "vectors/own/old_forks.json.xz"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(lzma.compress((json.dumps({"about": about, "cases": cases}, indent=1) + "\n").encode(), preset=9))


if __name__ == "__main__":
    main()
