"""Which machine a process uses: ``native``, ``transpiled``, ``plain``, or ``auto``, the first that can be here."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from enum import StrEnum
from typing import Any, Final, cast

from node.evm.interpreter import Interpreter
from node.evm.machine import MessageMachine, VirtualMachine
from node.evm.transpiled.machine import TranspiledMachine, probe

VARIABLE: Final = "EVMESH_EVM"
HOT_VARIABLE: Final = "EVMESH_HOT"


class Evm(StrEnum):
    """What a user may ask for."""

    PLAIN = "plain"
    TRANSPILED = "transpiled"
    NATIVE = "native"
    AUTO = "auto"


class Hot(StrEnum):
    """What is compiled while it runs."""

    NOTHING = "0"
    LOOPS = "1"
    """What runs often, by a process of its own."""
    EVERYTHING = "all"
    """Every code before it runs, in this process: slow, for tests."""


DEFAULT: Final = Evm.AUTO


class NoSuchMachine(Exception):
    """The machine asked for is none, or cannot run here; the message says what to do."""


def read_choice(text: str, where: str) -> Evm:
    """One of the four words; empty is the default. Raises ``NoSuchMachine`` naming ``where`` it stands."""
    if not text:
        return DEFAULT
    try:
        return Evm(text)
    except ValueError:
        raise NoSuchMachine(f"{where}: {text!r} is none of {', '.join(Evm)}") from None


def from_environment() -> Evm:
    """EVMESH_EVM, else the default. Raises ``NoSuchMachine``."""
    return read_choice(os.environ.get(VARIABLE, ""), VARIABLE)


def hot_from_environment() -> Hot:
    """EVMESH_HOT, else nothing. Raises ``NoSuchMachine``."""
    text = os.environ.get(HOT_VARIABLE, "")
    try:
        return Hot(text) if text else Hot.NOTHING
    except ValueError:
        raise NoSuchMachine(f"{HOT_VARIABLE}: {text!r} is none of {', '.join(Hot)}") from None


def compile_hot_code(vm: VirtualMachine, wanted: Hot) -> bool:
    """Let a native machine compile hot code from now on; False where this one does not, or nothing is wanted."""
    if wanted is Hot.NOTHING or kind_of(vm) is not Evm.NATIVE:
        return False
    workers = importlib.import_module("node.evm.native.hot.workers")
    if wanted is Hot.EVERYTHING:
        cast("Any", vm).compile_hot_code(workers.in_place(), everything=True)
        return True
    worker = workers.process()
    if worker is None:
        return False
    cast("Any", vm).compile_hot_code(worker)
    return True


def kind_of(vm: VirtualMachine) -> Evm:
    """Which of the three a machine is."""
    if isinstance(vm, MessageMachine):
        return Evm.NATIVE
    return Evm.TRANSPILED if isinstance(vm, TranspiledMachine) else Evm.PLAIN


class _Told:
    """Whether this process has said that it has no native machine, and what runs instead."""

    yet = False


def machine(wanted: Evm, say: Callable[[str], None]) -> VirtualMachine:
    """The machine. ``say`` hears that it is being compiled, and for ``auto``, once, that there can be none here.

    Raises ``NoSuchMachine`` for ``native`` and ``transpiled`` where there can be none.
    """
    if wanted is Evm.PLAIN:
        return Interpreter()
    found: VirtualMachine
    why = ""
    if wanted is not Evm.TRANSPILED:
        try:
            return _native(say)
        except NoSuchMachine as error:
            if wanted is Evm.NATIVE:
                raise NoSuchMachine(f"{error}; choose auto, transpiled or plain") from None
            why = str(error)
    try:
        found, runs = _transpiled(), "the transpiled one runs"
    except NoSuchMachine as error:
        if wanted is Evm.TRANSPILED:
            raise NoSuchMachine(f"{error}; choose plain") from None
        found, runs = Interpreter(), f"{error}; the plain one runs"
    if why and not _Told.yet:
        _Told.yet = True
        say(f"{why}; {runs}")
    return found


_TRANSPILED: Final[list[TranspiledMachine]] = []


def _transpiled() -> VirtualMachine:
    """The process's transpiled machine, one for all its nodes. Raises ``NoSuchMachine``."""
    if not _TRANSPILED:
        if why := probe():
            raise NoSuchMachine(f"no transpiled EVM here: {why}")
        _TRANSPILED.append(TranspiledMachine())
    return _TRANSPILED[0]


_LOADED: Final[list[VirtualMachine | NoSuchMachine]] = []


def _native(say: Callable[[str], None]) -> VirtualMachine:
    """The process's native machine, loaded at the first call. Raises ``NoSuchMachine``."""
    if not _LOADED:
        # whoever runs the plain machine never loads the compiler
        native = importlib.import_module("node.evm.native.machine")
        try:
            _LOADED.append(cast("VirtualMachine", native.load_machine(say)))
        except native.NativeUnavailable as error:
            _LOADED.append(NoSuchMachine(f"no native EVM here: {error}"))
    found = _LOADED[0]
    if isinstance(found, NoSuchMachine):
        raise found
    return found
