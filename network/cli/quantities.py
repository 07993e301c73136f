"""Durations, shares and rates as people write them: ``200ms``, ``10%``, ``100kB/s``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from network.failures import BadInput

_NUMBER: Final = re.compile(r"([+-]?[0-9]+(?:\.[0-9]+)?)\s*([A-Za-z%/]*)")
_TIMES: Final = {"ms": 1.0, "s": 1000.0, "m": 60_000.0, "min": 60_000.0, "h": 3_600_000.0}
_RATES: Final = {
    "": 1.0,
    "b": 1.0,
    "kb": 1e3,
    "mb": 1e6,
    "kib": 1024.0,
    "mib": 1024.0**2,
    "bit": 1 / 8,
    "kbit": 1e3 / 8,
    "mbit": 1e6 / 8,
}


def _parse(text: str, units: Mapping[str, float], what: str, example: str) -> float:
    match = _NUMBER.fullmatch(text.strip())
    unit = match.group(2).lower().removesuffix("/s") if match else ""
    if match is None or unit not in units:
        raise BadInput(f"{text!r} is no {what}", f"write it like {example}")
    return float(match.group(1)) * units[unit]


def duration_ms(text: str, negative: bool = False) -> int:
    """Milliseconds; a bare number is refused, since it could mean either. Raises BadInput."""
    value = round(_parse(text, _TIMES, "duration", "200ms, 1.5s or 2min"))
    if value < 0 and not negative:
        raise BadInput(f"{text!r} is negative", "write it like 200ms")
    return value


def share(text: str) -> float:
    """``10%`` or ``0.1``, from 0 to 1. Raises BadInput."""
    value = _parse(text, {"": 1.0, "%": 0.01}, "share", "10% or 0.1")
    if not 0 <= value <= 1:
        raise BadInput(f"{text!r} is not between 0% and 100%", "write it like 10% or 0.1")
    return value


def bytes_per_second(text: str) -> int:
    """A positive rate; a bare number counts bytes a second. Raises BadInput."""
    value = round(_parse(text, _RATES, "rate", "100kB/s, 1mbit or 50000"))
    if value < 1:
        raise BadInput(f"{text!r} lets nothing through", "to cut a link use evmesh partition")
    return value


def byte_count(text: str) -> int:
    """``100kB``; a bare number counts bytes. Raises BadInput."""
    value = round(_parse(text, _RATES, "size", "100kB, 2MB or 50000"))
    if value < 0:
        raise BadInput(f"{text!r} is negative", "write it like 100kB")
    return value


def drift_ppm(text: str) -> int:
    """Parts per million, ``200ppm`` or ``-0.1%``. Raises BadInput."""
    return round(_parse(text, {"": 1.0, "ppm": 1.0, "%": 10_000.0}, "drift", "200ppm, -200 or 0.1%"))
