"""Key files: 32 bytes as hex, readable by their owner only."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

KEYS_MAX: Final = 1024


class KeyFileError(ValueError):
    """The file is no usable key; the message never shows its content."""


def read_key(path: Path) -> bytes:
    """The 32-byte key in ``path``. Raises KeyFileError."""
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding="ascii").strip().removeprefix("0x")
    except (OSError, UnicodeDecodeError):
        raise KeyFileError(f"cannot read key file {path}") from None
    if stat.S_IMODE(mode) & 0o077 and os.name == "posix":
        raise KeyFileError(f"key file {path} is readable by others; run: chmod 600 {path}")
    try:
        key = bytes.fromhex(text)
    except ValueError:
        raise KeyFileError(f"key file {path} does not hold hex") from None
    if len(key) != 32 or not any(key):
        raise KeyFileError(f"key file {path} must hold 32 bytes, not all zero")
    return key


def read_keys(path: Path) -> list[bytes]:
    """Several keys, a line each. Raises KeyFileError."""
    try:
        lines = path.read_text(encoding="ascii").split()
        keys = [bytes.fromhex(line.removeprefix("0x")) for line in lines[:KEYS_MAX]]
    except (OSError, ValueError):
        raise KeyFileError(f"cannot read keys from {path}") from None
    if any(len(key) != 32 or not any(key) for key in keys):
        raise KeyFileError(f"key file {path} must hold 32 bytes in hex a line, not all zero")
    return keys


def write_key(path: Path, key: bytes) -> None:
    """Create ``path`` with mode 0600. Raises FileExistsError where it exists: keys are never overwritten."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(key.hex() + "\n")
        file.flush()
        os.fsync(file.fileno())
