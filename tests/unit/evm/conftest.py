"""A fresh world for every test, once for each machine."""

import functools

import pytest

from node.evm.interpreter import Interpreter
from node.evm.machine import VirtualMachine
from node.evm.native.machine import NativeMachine, load_machine
from node.evm.native.object_file import NativeUnavailable
from tests.differential import transpiled_answers
from tests.unit.evm.program import World


@functools.cache
def shared_native_machine() -> NativeMachine | None:
    """One for the test process; None where there can be none."""
    try:
        return load_machine()
    except NativeUnavailable:
        return None


@pytest.fixture
def native_machine() -> NativeMachine:
    """The native machine, or the test is skipped."""
    found = shared_native_machine()
    if found is None:
        pytest.skip("no native machine here")
    return found


@pytest.fixture(params=["plain", "transpiled", "native"])
def world(request: pytest.FixtureRequest) -> World:
    """An empty state under the newest rules."""
    machine: VirtualMachine = Interpreter()
    if request.param == "transpiled":
        machine = transpiled_answers.machine()
    if request.param == "native":
        machine = request.getfixturevalue("native_machine")
    return World(machine=machine)
