"""Where vectors lie: JSON files, folders of them, ``.tar.gz`` archives. Read lazily, one file's bytes at a time."""

from __future__ import annotations

import gzip
import tarfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Final

from network.vectors.fields import FixtureError

FILE_BYTES_MAX: Final = 512 * 2**20
"""The largest file that is read: the largest official ones have some 170 MB."""
READ_BYTES: Final = 16 * 2**20
ARCHIVE_ENDINGS: Final = (".tar.gz", ".tgz", ".tar")

Wanted = Callable[[str], bool]


def read_all(paths: Iterable[Path], wanted: Wanted = lambda name: True) -> Iterator[tuple[str, bytes]]:
    """(name, content) of every JSON file at ``paths`` whose name is wanted, in a fixed order. Raises FixtureError."""
    for path in paths:
        if path.is_dir():
            yield from _folder(path, wanted)
        elif path.name.endswith(ARCHIVE_ENDINGS):
            yield from _archive(path, wanted)
        elif wanted(str(path)):
            yield str(path), read_file(path)


def read_file(path: Path) -> bytes:
    """A whole file. Raises FixtureError where it cannot be read or is too large; a device may have no end."""
    try:
        with path.open("rb") as file:
            return read_stream(file, str(path))
    except OSError as error:
        raise FixtureError(str(path), "", "", f"cannot be read: {error.strerror or error}") from None


def read_stream(file: IO[bytes], name: str) -> bytes:
    """All of an open file, but not more than is read of any. Raises FixtureError."""
    parts: list[bytes] = []
    size = 0
    while part := file.read(READ_BYTES):
        size += len(part)
        if size > FILE_BYTES_MAX:
            raise FixtureError(name, "", "", f"more than {FILE_BYTES_MAX} bytes; no more are read")
        parts.append(part)
    return b"".join(parts)


def _folder(folder: Path, wanted: Wanted) -> Iterator[tuple[str, bytes]]:
    """JSON files below a folder; hidden ones are the tools' own (``.meta/index.json``)."""
    for file in sorted(folder.rglob("*.json")):
        inside = file.relative_to(folder)
        if not any(part.startswith(".") for part in inside.parts) and file.is_file() and wanted(str(file)):
            yield str(file), read_file(file)


def _archive(path: Path, wanted: Wanted) -> Iterator[tuple[str, bytes]]:
    try:
        with tarfile.open(path, "r:*") as tar:
            for entry in tar:
                name = entry.name.removeprefix("./")
                hidden = any(part.startswith(".") for part in name.split("/"))
                if not entry.isfile() or hidden or not name.endswith(".json") or not wanted(name):
                    continue
                if entry.size > FILE_BYTES_MAX:
                    raise FixtureError(
                        f"{path}/{name}", "", "", f"{entry.size} bytes; at most {FILE_BYTES_MAX} are read"
                    )
                content = tar.extractfile(entry)
                assert content is not None, "entry is a file"
                found = content.read()
                if len(found) != entry.size:
                    raise FixtureError(f"{path}/{name}", "", "", f"truncated: {len(found)} of {entry.size} bytes")
                yield name, found
    except (tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise FixtureError(str(path), "", "", f"not a whole tar archive: {error}") from None
    except OSError as error:
        raise FixtureError(str(path), "", "", f"cannot be read: {error.strerror or error}") from None
