"""Who may talk to the node through a browser: Host headers (DNS rebinding) and Origin headers (CORS)."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address
from typing import Final

LOOPBACK_NAMES: Final = ("localhost",)


def host_name(header: str) -> str:
    """The name in a Host header without its port, lower-case; brackets of IPv6 removed."""
    text = header.strip().lower()
    if text.startswith("["):
        return text[1:].partition("]")[0]
    if text.count(":") > 1:
        return text
    name, separator, port = text.rpartition(":")
    return name if separator and port.isdigit() else text


def is_ip(name: str) -> bool:
    """An IP address: it cannot be rebound by DNS."""
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


class Doorkeeper:
    """Decides by headers. ``hosts`` and ``origins`` may hold "*"."""

    def __init__(self, hosts: Iterable[str], origins: Iterable[str]) -> None:
        self._hosts = frozenset(name.lower() for name in hosts)
        self._origins = frozenset(origin.lower().rstrip("/") for origin in origins)

    def host_allowed(self, header: str | None) -> bool:
        """No header: not a browser. Loopback names and IP addresses always; others where configured."""
        if not header or "*" in self._hosts:
            return True
        name = host_name(header)
        return name in LOOPBACK_NAMES or name.endswith(".localhost") or is_ip(name) or name in self._hosts

    def allowed_origin(self, origin: str | None) -> str | None:
        """What Access-Control-Allow-Origin says, or None where the page may not read answers."""
        if origin is None:
            return None
        if "*" in self._origins:
            return "*"
        return origin if origin.lower().rstrip("/") in self._origins else None

    def may_post(self, origin: str | None, host: str | None) -> bool:
        """A page of another site may not even send, unless its origin is allowed."""
        if origin is None or self.allowed_origin(origin) is not None:
            return True
        return host is not None and origin.partition("://")[2].lower() == host.strip().lower()
