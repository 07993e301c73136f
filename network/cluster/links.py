"""How the nodes of one machine reach each other: each dials the others through a port of its own per neighbour.

Node ``a`` has for node ``b`` a port that nobody else dials; the link process (``link_process.py``) listens there and
carries the bytes to where ``b`` really listens. So every connection is known by who dialled whom, and each of its two
directions can be delayed, slowed down or cut, without root and without touching the nodes.

``links.json``: ``{"host": …, "targets": {"n0": port, …}, "links": [["n0", "n1", port], …]}``
"""

from __future__ import annotations

import json
import resource
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from network.cluster import ports
from network.cluster.process import write_json
from network.failures import Failure

FILE_NAME: Final = "links.json"
FILES_SPARE: Final = 256
"""Open files that the link process needs beside its listeners and connections."""


@dataclass(frozen=True, slots=True)
class Wiring:
    """Which port stands for which link. ``ports[source, target]``: where ``source`` dials ``target``."""

    host: str
    """Where all of them listen."""
    targets: Mapping[str, int]
    """Where each node itself listens."""
    ports: Mapping[tuple[str, str], int]

    @property
    def nodes(self) -> list[str]:
        """Every node, in order."""
        return list(self.targets)

    def dial_address(self, source: str, target: str) -> str:
        """``host:port`` where ``source`` finds ``target``."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.ports[source, target]}"

    def write(self, directory: Path) -> None:
        """Write ``links.json`` into a run directory."""
        links = [[source, target, port] for (source, target), port in self.ports.items()]
        write_json(directory / FILE_NAME, {"host": self.host, "targets": dict(self.targets), "links": links})

    @classmethod
    def read(cls, directory: Path) -> Wiring | None:
        """The wiring of a run directory; None where its nodes dial each other directly. Raises Failure."""
        path = directory / FILE_NAME
        try:
            content = json.loads(path.read_text("utf-8"))
            return cls(
                str(content["host"]),
                {str(name): int(port) for name, port in content["targets"].items()},
                {(str(source), str(target)): int(port) for source, target, port in content["links"]},
            )
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise Failure(f"{path} cannot be used: {error}", f"remove it with: rm -r {directory}") from None


def choose(host: str, listening: Mapping[str, int], taken: Sequence[int] = ()) -> Wiring | None:
    """Free ports for the links between nodes that listen at ``listening``; None where there is but one node."""
    names = list(listening)
    pairs = [(source, target) for source in names for target in names if source != target]
    if not pairs:
        return None
    free = ports.pick_free(host, len(pairs), {*taken, *listening.values()})
    return Wiring(host, dict(listening), dict(zip(pairs, free, strict=True)))


def allow_open_files(links: int) -> None:
    """Raise this process's limit of open files as far as it may, for a listener and two connections a link."""
    wanted = 4 * links + FILES_SPARE
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        ceiling = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, ceiling), hard))
