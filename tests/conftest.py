"""Rooms whose tests run much code many times do so without counting covered lines: others cover the same lines."""

import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# a machine that does other things, too, makes an example slow, not wrong
settings.register_profile("evmesh", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("evmesh")

UNCOUNTED = ("differential", "property", "simulation", "vectors")
"""Counting would double or treble their time."""

HERE = Path(__file__).parent


@pytest.fixture(autouse=True)
def uncounted(request):
    if request.path.relative_to(HERE).parts[0] not in UNCOUNTED:
        yield
        return
    # pytest-cov's no_cover does not reach the processes of pytest-xdist
    counting = sys.gettrace()
    sys.settrace(None)
    yield
    sys.settrace(counting)
