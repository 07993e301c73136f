"""Which machine a process uses: ``plain``, ``native``, or ``auto``, the native one where there can be one."""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Callable
from enum import StrEnum
from typing import Final

from node.evm.interpreter import Interpreter
from node.evm.machine import VirtualMachine
from node.evm.native.machine import NativeMachine, load_machine
from node.evm.native.object_file import NativeUnavailable

VARIABLE: Final = "EVMESH_EVM"
LOG: Final = logging.getLogger(__name__)


class Evm(StrEnum):
    """What a user may ask for."""

    PLAIN = "plain"
    NATIVE = "native"
    AUTO = "auto"


DEFAULT: Final = Evm.PLAIN


def from_environment() -> Evm:
    """EVMESH_EVM, else the default. Raises ValueError for another word."""
    told = os.environ.get(VARIABLE)
    if not told:
        return DEFAULT
    try:
        return Evm(told)
    except ValueError:
        raise ValueError(f"{VARIABLE} is {told!r}: choose {', '.join(Evm)}") from None


@functools.cache
def _native() -> NativeMachine | NativeUnavailable:
    try:
        return load_machine(LOG.info)
    except NativeUnavailable as error:
        return error


@functools.cache
def _say_once(why: str) -> None:
    LOG.warning("no native EVM here, the plain one runs: %s", why)


def machine(wanted: Evm, say: Callable[[str], None] = _say_once) -> VirtualMachine:
    """The machine. Raises ``NativeUnavailable`` for ``native`` where there is none; ``auto`` says so once."""
    if wanted is Evm.PLAIN:
        return Interpreter()
    found = _native()
    if isinstance(found, NativeMachine):
        return found
    if wanted is Evm.NATIVE:
        raise found
    say(str(found))
    return Interpreter()
