"""The kept seeds: ``seeds.json``. ``python -m tests.differential.kept`` asks the reference again and writes it anew.

``cases``      whole cases, small ones that something differed on once, with the answer that was right
``generated``  ``[seed, fork, kind, answer]`` of cases that the generator makes; they change with it

Answers are digests, so that they can be compared where no oracle is installed.
"""

from __future__ import annotations

import json
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

from tests.differential import comparing, spec_answers, spec_chains
from tests.differential.cases import FORKS, KINDS, Answer, Case

PATH = Path(__file__).parent / "seeds.json"
EACH = 8
"""Generated cases of a fork and a kind."""


def digest(answer: Answer) -> str:
    """Of the parts that are compared."""
    compared = {name: value for name, value in answer.items() if not name.startswith("?")}
    return sha256(json.dumps(compared, sort_keys=True).encode()).hexdigest()[:16]


def read() -> dict[str, Any]:
    """The file."""
    found: dict[str, Any] = json.loads(PATH.read_text())
    return found


def reference(case: Case) -> Answer:
    """What the specification says."""
    return spec_chains.answer(case) if case["kind"] == "block" else spec_answers.answer(case)


def main() -> int:
    """Write the file anew; refuse to where this node says something else than the reference."""
    if why := spec_answers.available():
        print(f"error: the reference cannot be asked: {why}", file=sys.stderr)
        return 2
    kept = read() if PATH.exists() else {"cases": []}
    for entry in kept["cases"]:
        entry["answer"] = digest(reference(entry["case"]))
    generated: list[list[Any]] = []
    for kind in KINDS:
        for seed in range(EACH * len(FORKS)):
            fork = FORKS[seed % len(FORKS)]
            case = comparing.generate(seed, fork, kind)
            answer = digest(reference(case))
            if answer != digest(comparing.ours(case)):
                print(f"error: seed {seed}, {fork}, {kind} differs; nothing is written", file=sys.stderr)
                return 1
            generated.append([seed, fork, kind, answer])
    lines = ",\n".join("  " + json.dumps(entry) for entry in generated)
    cases = ",\n".join("  " + json.dumps(entry) for entry in kept["cases"])
    PATH.write_text(f'{{"cases": [\n{cases}\n],\n"generated": [\n{lines}\n]}}\n')
    return 0


if __name__ == "__main__":
    sys.exit(main())
