"""Muir Glacier (January 2020): EIP-2384 delays the difficulty bomb, and nothing else."""

from __future__ import annotations

from typing import Final

from node.evm.spec import DifficultyRule, Spec
from node.forks import istanbul

SPEC: Final[Spec] = istanbul.SPEC.evolve(
    name="Muir Glacier",
    difficulty=DifficultyRule(bomb_delay=9_000_000),
)
