"""Broken files are refused with one line, exit code 2 and nothing written; hostile.py breaks them."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.vectors.hostile import judge

SHARES = 2
"""The second is a campaign."""
SEEDS = 400
"""Of each share."""


@pytest.mark.parametrize("share", [0, pytest.param(1, marks=pytest.mark.campaign)])
def test_broken_files(share: int) -> None:
    counts: Counter[str] = Counter()
    found = [f"seed {seed}: {said}" for seed in range(share, SHARES * SEEDS, SHARES) if (said := judge(seed, counts))]
    assert not found, "\n".join(found[:5])
    assert {"statetest 2", "blocktest 2", "t8n 10", "evm 2", "statetest 0", "t8n 0"} <= set(counts), counts
