"""What a network for programs is where its program says nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

DEFAULTS: Final[Mapping[str, Any]] = {
    "consensus": "bft",
    "block_time": 0.25,
    "port": 0,
    "p2p_port": 0,
    "page": False,
}
"""Blocks that are final at once, four a second, ports that nobody else has, and no page: nobody looks."""


def with_defaults(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings, and the defaults for what they leave out, without blocks that their engine cannot make so fast."""
    chosen = dict(DEFAULTS)
    if settings.get("consensus") == "pos":
        chosen["block_time"] = 1.0
    elif settings.get("consensus") is None and "slots_per_epoch" in settings:
        chosen |= {"consensus": "pos", "block_time": 1.0}
    return chosen | dict(settings)
