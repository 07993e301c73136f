"""One line an event: ``key=value`` text or JSON, stamped with the node's name and its runtime clock."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Final

from node.runtime.clock import Clock

LEVELS: Final = ("debug", "info", "warning", "error")


class Log:
    """A node's log. ``log.info("block decided", height=3, hash=h)``; bytes are shown as 0x hex."""

    def __init__(
        self,
        clock: Clock,
        node: str,
        level: str = "info",
        form: str = "text",
        write: Callable[[str], object] | None = None,
    ) -> None:
        if level not in LEVELS:
            raise ValueError(f"unknown log level {level!r}; choose one of {', '.join(LEVELS)}")
        if form not in ("text", "json"):
            raise ValueError(f"unknown log format {form!r}; choose text or json")
        self._clock = clock
        self._node = node
        self._threshold = LEVELS.index(level)
        self._json = form == "json"
        self._write = write or (lambda line: sys.stderr.write(line + "\n"))

    def debug(self, event: str, **fields: object) -> None:
        """Detail for a developer."""
        self._line(0, event, fields)

    def info(self, event: str, **fields: object) -> None:
        """What an operator wants to see go by."""
        self._line(1, event, fields)

    def warning(self, event: str, **fields: object) -> None:
        """Something odd that the node copes with."""
        self._line(2, event, fields)

    def error(self, event: str, **fields: object) -> None:
        """Something that needs the operator."""
        self._line(3, event, fields)

    def _line(self, level: int, event: str, fields: dict[str, object]) -> None:
        if level < self._threshold:
            return
        shown = {key: _plain(value) for key, value in fields.items() if value is not None}
        now_ms = self._clock.now_ms()
        if self._json:
            record = {"ts": now_ms, "level": LEVELS[level], "node": self._node, "event": event, **shown}
            self._write(json.dumps(record, separators=(",", ":")))
            return
        seconds, ms = divmod(now_ms, 1000)
        day = seconds % 86_400
        stamp = f"{day // 3600:02}:{day // 60 % 60:02}:{day % 60:02}.{ms:03}"
        tail = "".join(f" {key}={_quoted(value)}" for key, value in shown.items())
        self._write(f"{stamp} {LEVELS[level].upper():<7} {self._node} {event}{tail}")


def _plain(value: object) -> object:
    if isinstance(value, bytes | bytearray):
        return "0x" + value.hex()
    if isinstance(value, str | int | float | bool):
        return value
    return str(value)


def _quoted(value: object) -> str:
    text = str(value)
    if not text or any(character.isspace() or character in '="' for character in text) or not text.isprintable():
        return json.dumps(text)
    return text
