"""The only place that loads llvmlite: IR to an object file, an object file to addresses in this process.

Importing llvmlite costs a tenth of a second and 47 MB, so it happens at the first use of the native machine.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterable
from typing import Any, Final

OPTIMISATION_LEVEL: Final = 2
WORTHWHILE_FEATURES: Final = ("bmi", "bmi2")


def is_installed() -> bool:
    """Whether there is an llvmlite for this Python and this platform."""
    return importlib.util.find_spec("llvmlite") is not None


def binding() -> Any:
    """``llvmlite.binding``, ready to produce code for this machine."""
    loaded = importlib.import_module("llvmlite.binding")
    loaded.initialize_native_target()
    loaded.initialize_native_asmprinter()
    return loaded


def compiler_version() -> str:
    """llvmlite's version and LLVM's."""
    llvmlite = importlib.import_module("llvmlite")
    return f"llvmlite {llvmlite.__version__}, LLVM {'.'.join(map(str, binding().llvm_version_info))}"


def target_triple() -> str:
    """What this process runs on, in LLVM's words."""
    return str(binding().get_process_triple())


def target_features() -> str:
    """What this CPU has beyond its architecture's least, of the few things that pay: keccak is a quarter faster."""
    found = binding().get_host_cpu_features()
    return ",".join(f"+{name}" for name in WORTHWHILE_FEATURES if found.get(name))


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

    def __init__(self, content: bytes, names: Iterable[str]) -> None:
        llvm = binding()
        empty = llvm.parse_assembly(f'target triple = "{target_triple()}"')
        machine = llvm.Target.from_triple(target_triple()).create_target_machine(jit=True)
        self._engine = llvm.create_mcjit_compiler(empty, machine)
        self._engine.add_object_file(llvm.ObjectFileRef.from_data(content))
        self._engine.finalize_object()
        self.addresses = {name: int(self._engine.get_function_address(name)) for name in names}
        missing = [name for name, address in self.addresses.items() if not address]
        if missing:
            raise RuntimeError(f"the object file has no {', '.join(missing)}")
