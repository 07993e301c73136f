"""Arrow Glacier (December 2021): EIP-4345 delays the difficulty bomb, and nothing else."""

from __future__ import annotations

from typing import Final

from node.evm.spec import DifficultyRule, Spec
from node.forks import london

SPEC: Final[Spec] = london.SPEC.evolve(
    name="Arrow Glacier",
    difficulty=DifficultyRule(bomb_delay=10_700_000),
)
