"""The only place that loads llvmlite: IR to an object file, an object file to addresses in this process.

Importing llvmlite costs a tenth of a second and 47 MB, so it happens at the first use of the native machine.
"""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import importlib.util
import platform
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

OPTIMISATION_LEVEL: Final = 2
WORTHWHILE_FEATURES: Final = (("bmi", "bmi1"), ("bmi2", "bmi2"))
"""LLVM's names, and those of Linux."""
CPU_FACTS: Final = Path("/proc/cpuinfo")


def is_installed() -> bool:
    """Whether there is an llvmlite for this Python and this platform."""
    return importlib.util.find_spec("llvmlite") is not None


def binding() -> Any:
    """``llvmlite.binding``, ready to produce code for this machine."""
    loaded = importlib.import_module("llvmlite.binding")
    loaded.initialize_native_target()
    loaded.initialize_native_asmprinter()
    return loaded


@functools.cache
def compiler_version() -> str:
    """llvmlite's version, which says LLVM's; without loading it."""
    return f"llvmlite {importlib.metadata.version('llvmlite')}"


def target() -> str:
    """What the object file is for: system, processor, and those of its features that pay; without loading LLVM."""
    return f"{sys.platform} {platform.machine()} {target_features()}"


def target_triple() -> str:
    """What this process runs on, in LLVM's words."""
    return str(binding().get_process_triple())


@functools.cache
def target_features() -> str:
    """What this CPU has beyond its architecture's least, of the few things that pay: keccak is a quarter faster.

    Empty where the system does not tell: the object then runs everywhere.
    """
    try:
        text = CPU_FACTS.read_text("ascii", "replace")
    except OSError:
        return ""
    lines = [line for line in text.splitlines() if line.startswith("flags")]
    flags = lines[0].split() if lines and platform.machine() == "x86_64" else []
    return ",".join(f"+{name}" for name, flag in WORTHWHILE_FEATURES if flag in flags)


def compile_object(ir: str, level: int = OPTIMISATION_LEVEL) -> bytes:
    """The object file for a module of IR, for CPUs that have ``target_features``.

    Raises ``RuntimeError`` where LLVM refuses the text, which is a bug of the compiler.
    """
    llvm = binding()
    module = llvm.parse_assembly(ir)
    module.verify()
    machine = llvm.Target.from_triple(target_triple()).create_target_machine(
        features=target_features(), opt=level, reloc="pic", codemodel="default", jit=True
    )
    options = llvm.create_pipeline_tuning_options(speed_level=level)
    passes = llvm.create_pass_builder(machine, options)
    passes.getModulePassManager().run(module, passes)
    return bytes(machine.emit_object(module))


class LoadedObject:
    """An object file in executable memory; lives as long as its addresses are used."""

    def __init__(self, content: bytes, names: Iterable[str], symbols: Mapping[str, int] | None = None) -> None:
        """``symbols``: addresses of what the object calls and does not hold."""
        llvm = binding()
        for name, address in (symbols or {}).items():
            llvm.add_symbol(name, address)
        empty = llvm.parse_assembly(f'target triple = "{target_triple()}"')
        machine = llvm.Target.from_triple(target_triple()).create_target_machine(jit=True)
        self._engine = llvm.create_mcjit_compiler(empty, machine)
        self._engine.add_object_file(llvm.ObjectFileRef.from_data(content))
        self._engine.finalize_object()
        self.addresses = {name: int(self._engine.get_function_address(name)) for name in names}
        missing = [name for name, address in self.addresses.items() if not address]
        if missing:
            raise RuntimeError(f"the object file has no {', '.join(missing)}")
