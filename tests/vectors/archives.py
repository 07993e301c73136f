"""Where the fixture files are and how they are read: ``<archive>.tar.gz`` beside the project, or a folder of one."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

FIXTURES = Path(__file__).resolve().parents[2].parent / "shared" / "fixtures"


def archive_path(archive: str) -> Path:
    """Where the archive should be."""
    return FIXTURES / f"{archive}.tar.gz"


def read_files(
    archive: str, wanted: Callable[[str], bool], unpacked: Path | None = None
) -> Iterator[tuple[str, dict[str, Any]]]:
    """(path inside the archive, its JSON) of the files whose path is ``wanted``."""
    if unpacked is not None:
        root = unpacked / archive
        for file in sorted(root.rglob("*.json")):
            name = f"{archive}/{file.relative_to(root)}"
            if wanted(name):
                yield name, json.loads(file.read_bytes())
        return
    with tarfile.open(archive_path(archive), "r:gz") as tar:
        for member in tar:
            name = member.name.removeprefix("./")
            if member.isfile() and name.endswith(".json") and wanted(name):
                content = tar.extractfile(member)
                assert content is not None
                yield name, json.load(content)
