"""Who may ask: a token, or nobody but programs on this machine.

Without a token the gate listens on loopback only, and a web page must not reach it through its reader's browser: a
request whose Host is not this machine (a rebound name), or that a browser marks as another site's, is refused. No
answer ever carries CORS headers.
"""

from __future__ import annotations

import hmac
import ipaddress
import re
from typing import Final

from penstock.gate.problems import Problem
from penstock.http.messages import Headers
from penstock.model.errors import InvalidOption

LOOPBACK_NAMES: Final = ("localhost", "127.0.0.1", "[::1]")
_CHALLENGE: Final = (("www-authenticate", "Bearer"),)
_OWN_SITE: Final = frozenset({None, "same-origin", "none"})
_TOKEN_BYTES_MIN: Final = 16
_TOKEN: Final = re.compile(r"[!-~]+")


def is_loopback(host: str) -> bool:
    """Whether an address or name is this machine's own and reachable from nowhere else."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class Access:
    """Checks each request.

    Args:
        host: the address that is listened on.
        token: what ``Authorization: Bearer`` must carry, white space around it aside, for a file or a shell may have
            added some; None: nothing is asked for.

    Raises:
        InvalidOption: other machines could reach the gate, and there is no token; or the token is too short.
    """

    def __init__(self, host: str, token: str | None) -> None:
        if token is not None:
            token = token.strip()
            if len(token) < _TOKEN_BYTES_MIN or not _TOKEN.fullmatch(token):
                raise InvalidOption(
                    f"A token has at least {_TOKEN_BYTES_MIN} ASCII characters, and no space among them.", field="token"
                )
        if token is None and not is_loopback(host):
            raise InvalidOption(
                f"Other machines can reach {host}: set PENSTOCK_TOKEN, or listen on 127.0.0.1.", field="gate"
            )
        self._expected = None if token is None else token.encode()
        self._names = frozenset({*LOOPBACK_NAMES, f"[{host}]" if ":" in host else host})
        self._known: set[str] = set()

    def listening(self, port: int) -> None:
        """The port is known: these are the Host headers of requests that meant this gate."""
        self._known = {f"{name}:{port}" for name in self._names} | (set(self._names) if port == 80 else set())

    def check(self, headers: Headers) -> None:
        """Pass when the request may be answered.

        Raises:
            Problem: ``unauthorized`` or ``forbidden``.
        """
        if self._expected is not None:
            given = headers.get("authorization", "")
            scheme, _, token = given.partition(" ")
            is_it = hmac.compare_digest(token.strip(" ").encode("utf-8", "replace"), self._expected)
            if not is_it or scheme.lower() != "bearer":
                raise Problem("unauthorized", "Send the token as `Authorization: Bearer …`.", headers=_CHALLENGE)
            return
        host = headers.get("host")
        if host not in self._known and not self._knows(host):
            raise Problem("forbidden", "The Host header does not name this gate, which only serves its own machine.")
        if headers.get("sec-fetch-site") not in _OWN_SITE:
            raise Problem("forbidden", "A web page of another site may not use a gate without a token.")
        origin = headers.get("origin")
        if origin is not None and origin != f"http://{host}":
            raise Problem("forbidden", "A web page of another origin may not use a gate without a token.")

    def caller(self, client: str | None) -> str:
        """How the audit log names who sent a request that passed: ``token`` or ``local``, and where from when that is
        another machine. ``client``: its address there, as `penstock.http.client_shares.client_of` tells."""
        name = "local" if self._expected is None else "token"
        return name if client is None else f"{name}@{client}"

    def _knows(self, host: str | None) -> bool:
        """Names are compared without regard to case; HTTP/1.0 has no Host."""
        return host is None or host.lower() in self._known
