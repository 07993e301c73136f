"""The cached object: made once, trusted only where it holds and nobody else can have written it."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from node.evm.interpreter import Interpreter
from node.evm.native import choice, elf, llvm, object_file
from node.evm.native.machine import NativeMachine
from node.evm.native.object_file import NativeUnavailable
from node.evm.transpiled.machine import TranspiledMachine
from tests.unit.evm.native.compiling import needs_llvm

pytestmark = needs_llvm


@pytest.fixture
def builds(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What was compiled; the compiler itself has its own tests."""
    made: list[bytes] = []

    def build() -> bytes:
        made.append(b"object %d" % len(made))
        return made[-1]

    monkeypatch.setattr(object_file, "build", build)
    return made


def obtain(directory: Path) -> tuple[bytes, list[str]]:
    """(content, what was said)."""
    said: list[str] = []
    return object_file.obtain(said.append, directory), said


def test_compiled_once_and_kept_for_the_owner(tmp_path: Path, builds: list[bytes]) -> None:
    directory = tmp_path / "cache" / "native"
    assert obtain(directory) == (b"object 0", [object_file.COMPILING])
    assert obtain(directory) == (b"object 0", [])
    (kept,) = directory.glob("*.o")
    assert kept.name == f"{object_file.key()}.o"
    if sys.platform != "win32":
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
        assert stat.S_IMODE(kept.stat().st_mode) == 0o700


@pytest.mark.parametrize("damage", ["cut", "bit", "empty", "magic", "longer"])
def test_a_damaged_object_is_compiled_anew(tmp_path: Path, builds: list[bytes], damage: str) -> None:
    directory = tmp_path / "native"
    obtain(directory)
    (kept,) = directory.glob("*.o")
    text = kept.read_bytes()
    flipped = text[:-3] + bytes((text[-3] ^ 1,)) + text[-2:]
    kept.write_bytes(
        {"cut": text[:-1], "bit": flipped, "empty": b"", "magic": b"E" + text[1:], "longer": text + b"x"}[damage]
    )
    assert obtain(directory) == (b"object 1", [object_file.COMPILING])
    assert obtain(directory) == (b"object 1", [])


@pytest.mark.skipif(sys.platform == "win32", reason="permissions of POSIX")
@pytest.mark.parametrize("place", ["file", "directory", "link"])
def test_what_others_could_write_is_not_run(tmp_path: Path, builds: list[bytes], place: str) -> None:
    directory = tmp_path / "native"
    obtain(directory)
    (kept,) = directory.glob("*.o")
    if place == "link":
        kept.rename(tmp_path / "elsewhere")
        kept.symlink_to(tmp_path / "elsewhere")
    else:
        (kept if place == "file" else directory).chmod(0o777)
    assert obtain(directory) == (b"object 1", [object_file.COMPILING])


@pytest.mark.skipif(sys.platform == "win32", reason="owners of POSIX")
def test_what_another_user_owns_is_not_run_but_what_root_owns_is(
    tmp_path: Path, builds: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = tmp_path / "native"
    obtain(directory)
    owner = directory.stat().st_uid
    monkeypatch.setattr(object_file.os, "getuid", lambda: owner + 1)
    assert object_file.is_ours_alone(directory) is (owner == 0)
    for name, uid, allowed in (("roots", 0, True), ("anothers", owner + 7, False)):
        path = tmp_path / name
        path.mkdir(mode=0o700)
        found = path.lstat()
        told = os.stat_result((found.st_mode, 0, 0, 1, uid, uid, 0, 0, 0, 0))
        with monkeypatch.context() as patched:
            patched.setattr(Path, "lstat", lambda self, told=told: told)
            assert object_file.is_ours_alone(path) is allowed


def test_a_cache_that_cannot_be_written_costs_only_time(tmp_path: Path, builds: list[bytes]) -> None:
    in_the_way = tmp_path / "native"
    in_the_way.write_text("a file")
    assert obtain(in_the_way) == (b"object 0", [object_file.COMPILING])
    assert obtain(in_the_way) == (b"object 1", [object_file.COMPILING])


def test_another_source_compiler_or_target_is_another_object(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = {object_file.key()}
    for name in ("compiler_version", "target"):
        with monkeypatch.context() as patched:
            patched.setattr(llvm, name, lambda: "another")
            keys.add(object_file.key())
    read_bytes = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: read_bytes(path) + b"#" * (path.name == "flow.py"))
    keys.add(object_file.key())
    assert len(keys) == 4


def test_the_cache_is_where_the_user_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(object_file.CACHE_VARIABLE, str(tmp_path))
    assert object_file.cache_directory() == tmp_path / "native"
    monkeypatch.delenv(object_file.CACHE_VARIABLE)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert object_file.cache_directory() == tmp_path / "xdg" / "evmesh" / "native"


@pytest.mark.skipif(sys.platform == "win32", reason="no locks of POSIX")
def test_of_many_that_want_it_one_compiles(tmp_path: Path, builds: list[bytes]) -> None:
    directory = tmp_path / "native"
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: object_file.obtain(lambda line: None, directory), range(8)))
    assert found == [b"object 0"] * 8
    assert len(builds) == 1


def test_an_object_that_does_not_load_is_a_reason_not_a_crash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(content: bytes, names: object, symbols: object = None) -> llvm.LoadedObject:
        raise OSError("memory may not be executable")

    monkeypatch.setattr(llvm, "LoadedObject", refuse)
    monkeypatch.setattr(elf, "ElfImage", refuse)
    monkeypatch.setattr(object_file, "build", lambda: b"object")
    with pytest.raises(NativeUnavailable, match="may not be executable"):
        object_file.load(directory=tmp_path / "native")
    monkeypatch.setattr(llvm, "is_installed", lambda: False)
    with pytest.raises(NativeUnavailable, match="llvmlite is not installed"):
        object_file.load()


# --- which machine ---


@pytest.fixture
def without_native(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where llvmlite has no wheel."""
    monkeypatch.setattr(llvm, "is_installed", lambda: False)
    monkeypatch.setattr(choice, "_LOADED", [])
    monkeypatch.setattr(choice._Told, "yet", False)


def test_the_native_machine_is_the_default_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(choice.VARIABLE, raising=False)
    assert choice.from_environment() is choice.Evm.AUTO
    assert isinstance(choice.machine(choice.Evm.PLAIN, print), Interpreter)
    monkeypatch.setenv(choice.VARIABLE, "plain")
    assert choice.from_environment() is choice.Evm.PLAIN
    monkeypatch.setenv(choice.VARIABLE, "fast")
    with pytest.raises(choice.NoSuchMachine, match="EVMESH_EVM: 'fast' is none of plain, transpiled, native, auto"):
        choice.from_environment()


def test_native_and_auto_are_the_same_machine_once_loaded() -> None:
    machine = choice.machine(choice.Evm.NATIVE, print)
    assert isinstance(machine, NativeMachine)
    assert choice.machine(choice.Evm.AUTO, print) is machine


@pytest.mark.usefixtures("without_native")
def test_auto_falls_back_and_says_so_once() -> None:
    said: list[str] = []
    first = choice.machine(choice.Evm.AUTO, said.append)
    assert isinstance(first, TranspiledMachine)
    assert choice.machine(choice.Evm.AUTO, said.append) is first
    assert choice.machine(choice.Evm.TRANSPILED, said.append) is first
    assert choice.kind_of(first) is choice.Evm.TRANSPILED
    assert said == ["no native EVM here: llvmlite is not installed; the transpiled one runs"]
    with pytest.raises(choice.NoSuchMachine, match="choose auto, transpiled or plain"):
        choice.machine(choice.Evm.NATIVE, said.append)


def test_where_no_source_may_be_compiled_plain_runs() -> None:
    """A process of its own: what an audit hook refuses stays refused."""
    text = """
import sys
import node.evm.native.machine
from node.evm.native import choice, llvm
llvm.is_installed = lambda: False
def hook(event, arguments):
    if event == "compile":
        raise RuntimeError("not allowed")
sys.addaudithook(hook)
print(choice.kind_of(choice.machine(choice.Evm.AUTO, print)), choice.kind_of(choice.machine(choice.Evm.AUTO, print)))
try:
    choice.machine(choice.Evm.TRANSPILED, print)
except choice.NoSuchMachine as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    why = "no transpiled EVM here: RuntimeError: not allowed"
    assert done.stdout.splitlines() == [
        f"no native EVM here: llvmlite is not installed; {why}; the plain one runs",
        "plain plain",
        f"{why}; choose plain",
    ]


def modules_after(wanted: str) -> str:
    """Which of the large ones a fresh process has loaded with its machine."""
    text = (
        f"import sys; from node.evm.native import choice; choice.machine(choice.Evm({wanted!r}), print);"
        "print([n for n in sys.modules if n == 'llvmlite' or n == 'node.evm.native.machine'])"
    )
    return subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True).stdout.strip()


def test_plain_never_loads_the_compiler() -> None:
    assert modules_after("plain") == "[]"


@pytest.mark.skipif(not elf.fits(), reason="LLVM loads objects here")
def test_a_cached_object_needs_no_compiler() -> None:
    choice.machine(choice.Evm.NATIVE, print)
    assert modules_after("native") == "['node.evm.native.machine']"
