"""A fresh world for every test."""

import pytest

from tests.unit.evm.program import World


@pytest.fixture
def world() -> World:
    """An empty state under the newest rules."""
    return World()
