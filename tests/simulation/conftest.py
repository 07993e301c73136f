"""Simulated clusters run without counting covered lines: that would treble their time, and others cover these lines."""

import sys

import pytest


@pytest.fixture(autouse=True)
def uncounted():
    # pytest-cov's no_cover does not reach the processes of pytest-xdist
    counting = sys.gettrace()
    sys.settrace(None)
    yield
    sys.settrace(counting)
