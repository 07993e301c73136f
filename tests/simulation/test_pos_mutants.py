"""Every bug on the list is found: the scenario is content without it, and fails with it."""

import pytest

from tests.simulation.mutant import check_killed
from tests.simulation.pos_mutants import MUTANTS


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_mutant_is_killed(mutant):
    check_killed(mutant)


def test_the_list_is_long_enough():
    assert len(MUTANTS) >= 25
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)
