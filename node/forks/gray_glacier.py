"""Gray Glacier (June 2022): EIP-5133 delays the difficulty bomb, and nothing else."""

from __future__ import annotations

from typing import Final

from node.evm.spec import DifficultyRule, Spec
from node.forks import arrow_glacier

SPEC: Final[Spec] = arrow_glacier.SPEC.evolve(
    name="Gray Glacier",
    difficulty=DifficultyRule(bomb_delay=11_400_000),
)
