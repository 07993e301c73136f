"""Who may ask the page for what: requests of other sites, of rebound names, and of nobody's button are refused.

The page can kill nodes, so it trusts nothing that a browser could be talked into sending:

    Host             exactly where it listens, by number or as localhost, not a name that a stranger's DNS points here
    Sec-Fetch-Site   for everything but the page itself: the page itself, or somebody who types (no other local site)
    Origin           for what changes something: this page's own
    Content-Type     JSON, which no form of another site can send
    token            drawn at the start, written into the page: only who can read the page has it
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Final

TOKEN_HEADER: Final = "X-Evmesh-Token"

SECURITY_HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": (
        "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""On every answer. Trusted types: a script of ours that ever handed text to innerHTML would stop there and then."""


class Guard:
    """Decides by headers (names in any case). ``port``: where the page listens."""

    def __init__(self, port: int, token: str) -> None:
        self._hosts = tuple(f"{name}:{port}" for name in ("127.0.0.1", "localhost", "[::1]"))
        if port == 80:
            self._hosts += ("127.0.0.1", "localhost", "[::1]")
        self._token = token.encode()

    def refusal(self, headers: Mapping[str, str], page: bool) -> str:
        """Why a request may not be answered; empty where it may. ``page``: what a browser opens by its address."""
        if headers.get("Host", "").lower() not in self._hosts:
            return "the Host header does not name this page's own address"
        if not page and headers.get("Sec-Fetch-Site", "none") not in ("same-origin", "none"):
            return "requests of other sites are not answered"
        return ""

    def refusal_of_change(self, headers: Mapping[str, str], content_type: str) -> str:
        """Why a request may not change anything, beyond ``refusal``; empty where it may."""
        origin = headers.get("Origin")
        if origin is not None and origin.lower() not in [f"http://{host}" for host in self._hosts]:
            return "the Origin header names another site"
        if headers.get("Sec-Fetch-Site", "same-origin") != "same-origin":
            return "only the page itself may change something"
        if content_type != "application/json":
            return "send application/json"
        if not hmac.compare_digest(headers.get(TOKEN_HEADER, "").encode(), self._token):
            return f"the {TOKEN_HEADER} header does not hold this run's token; reload the page"
        return ""
