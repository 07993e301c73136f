"""The native machine's object file: compiled at the first use, kept in a cache that only its owner can write.

Its name is a digest of all that it is made of: this package's sources, the compiler's version, the target. It begins
with a digest of its content; a file that does not hold is compiled anew, and so is one that others could have written,
for it is code that this process will run.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import os
import stat
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Protocol

from node.evm.native import elf, llvm
from node.evm.native.compiler.module import HANDLER_AT, compile_module
from node.evm.native.hot.services import SERVICES
from node.evm.native.interpreter import calls, catalogue, transaction
from node.evm.native.runtime import keccak, world

EXPORTS: Final[dict[str, Callable[..., Any]]] = {
    "run_message": calls.run_message,
    "run_transaction": transaction.run_transaction,
    "find_jumps": world.find_jumps,
    "keccak256": keccak.keccak256,
    **SERVICES,
}
MAGIC: Final = b"evmesh native 1\n"
DIGEST_BYTES: Final = 32
CACHE_VARIABLE: Final = "EVMESH_CACHE_DIR"
LOCK_FILE: Final = "building"
COMPILING: Final = "compiling the native EVM (once, some seconds)"


class NativeUnavailable(Exception):
    """Why there is no native machine here."""


def build() -> bytes:
    """Compile the machine: some two seconds of CPU."""
    return llvm.compile_object(compile_module(EXPORTS, catalogue.handlers(), llvm.target_triple()))


def key() -> str:
    """What the object file is made of, as 64 hex digits."""
    digest = hashlib.sha256()
    package = Path(__file__).parent
    for path in sorted(package.rglob("*.py")):
        digest.update(f"{path.relative_to(package).as_posix()} {path.stat().st_size}\n".encode())
        digest.update(path.read_bytes())
    digest.update(f"{llvm.compiler_version()}, {llvm.target()}, level {llvm.OPTIMISATION_LEVEL}".encode())
    return digest.hexdigest()


def cache_directory() -> Path:
    """Where object files are kept: EVMESH_CACHE_DIR, else the user's cache."""
    told = os.environ.get(CACHE_VARIABLE)
    if told:
        return Path(told) / "native"
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "evmesh" / "native"


def is_ours_alone(path: Path) -> bool:
    """Whether nobody but this user, or root, can have written there: an image's cache is root's."""
    if sys.platform == "win32":
        return True
    found = path.lstat()
    return not stat.S_ISLNK(found.st_mode) and found.st_uid in (0, os.getuid()) and not found.st_mode & 0o022


def read(path: Path) -> bytes | None:
    """The object in a cached file; None where there is none that holds."""
    try:
        if not (is_ours_alone(path.parent) and is_ours_alone(path)):
            return None
        text = path.read_bytes()
    except OSError:
        return None
    head = len(MAGIC) + DIGEST_BYTES
    content = text[head:]
    if text[: len(MAGIC)] != MAGIC or text[len(MAGIC) : head] != hashlib.sha256(content).digest():
        return None
    return content


def write(path: Path, content: bytes) -> None:
    """Keep an object, all of it or nothing. Raises OSError."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not is_ours_alone(path.parent):
        raise OSError(f"{path.parent} can be written by others")
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".building-")  # mode 0600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(MAGIC + hashlib.sha256(content).digest() + content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o700)
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise


def cached(directory: Path | None = None) -> bytes | None:
    """The object, if it is kept already."""
    return read(_path(directory))


def _path(directory: Path | None) -> Path:
    return (cache_directory() if directory is None else directory) / f"{key()}.o"


def obtain(say: Callable[[str], None], directory: Path | None = None) -> bytes:
    """The object: from the cache, else compiled and kept there; a cache that cannot be written costs only time.

    Of several processes that want it at once one compiles, the others wait for it.
    """
    path = _path(directory)
    found = read(path)
    if found is not None:
        return found
    with _alone(path.parent):
        found = read(path)
        if found is not None:
            return found
        say(COMPILING)
        content = build()
        with contextlib.suppress(OSError):
            write(path, content)
    return content


@contextlib.contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Nobody else is in here; where there can be no lock, nobody waits."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)
        lock = os.open(directory / LOCK_FILE, flags, 0o600)
    except OSError:
        yield
        return
    try:
        with contextlib.suppress(ImportError):  # Windows has none
            locks = importlib.import_module("fcntl")
            locks.flock(lock, locks.LOCK_EX)
        yield
    finally:
        os.close(lock)


class LoadedObject(Protocol):
    """An object file in executable memory; lives as long as its addresses are used."""

    addresses: dict[str, int]


def load(say: Callable[[str], None] = lambda line: None, directory: Path | None = None) -> LoadedObject:
    """The machine in executable memory. Raises ``NativeUnavailable``: no llvmlite, or memory may not be executable."""
    if not llvm.is_installed():
        raise NativeUnavailable("llvmlite is not installed")
    names = (*EXPORTS, HANDLER_AT)
    try:
        return load_object(obtain(say, directory), names)
    except (OSError, RuntimeError, ImportError, MemoryError) as error:
        raise NativeUnavailable(f"{type(error).__name__}: {error}") from error


def load_object(content: bytes, names: Iterable[str], symbols: Mapping[str, int] | None = None) -> LoadedObject:
    """An object file in memory; ``symbols``: what it calls and does not hold. Raises OSError, RuntimeError."""
    if elf.fits():
        return elf.ElfImage(content, names, symbols)
    return llvm.LoadedObject(content, names, symbols)
