"""Which simulated clusters are campaigns."""

from pathlib import Path

import pytest

CAMPAIGNS = (
    "test_bft_convictions.py",
    "test_forced_forks.py",
    "test_level2_faults.py",
    "test_level2_flood.py",
    "test_pos_level1.py",
    "test_pos_mutants.py",
    "test_simulate_command.py",
)


def pytest_collection_modifyitems(items):
    here = Path(__file__).parent
    for item in items:
        path = Path(item.path)
        if here in path.parents and (path.name in CAMPAIGNS or "mutant" in item.name):
            item.add_marker(pytest.mark.campaign)
