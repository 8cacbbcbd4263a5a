"""Who may use the HTTP API of a daemon: whoever shows the token, or, where there is none, whoever reaches it. Pure.

A web page must not reach an API without a token through its reader's browser. What a browser marks as another site's
is refused; and where only this machine is served, so is a Host that is not this machine's, for it is a name that
somebody has made to point here.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Collection
from typing import Final

from penstock.http.messages import Headers
from penstock.model.errors import InvalidOption
from penstock.nsq.addresses import parse_address
from penstock.nsq.http_routes import ApiError

__all__ = ["HttpAccess", "check_token", "own_names_of"]

TOKEN_CHARS_MIN: Final = 16
_TOKEN: Final = re.compile(r"[!-~]+")
_CHALLENGE: Final = (("www-authenticate", "Bearer"),)
_OWN_SITE: Final = frozenset({None, "same-origin", "none"})
_LOOPBACK: Final = re.compile(r"localhost|127(?:\.[0-9]{1,3}){3}|\[::1\]", re.IGNORECASE)
_PORT: Final = re.compile(r":[0-9]*$")


def check_token(text: str) -> str:
    """The token that a file holds, without white space around it.

    Raises:
        InvalidOption: it is too short, or has other characters than a token may.
    """
    token = text.strip()
    if len(token) < TOKEN_CHARS_MIN or not _TOKEN.fullmatch(token):
        raise InvalidOption(
            f"A token has at least {TOKEN_CHARS_MIN} ASCII characters, and no space among them.",
            field="http_token_file",
        )
    return token


def own_names_of(http_address: str, broadcast_address: str, hostname: str) -> frozenset[str]:
    """The names under which a daemon is reached that only its own machine reaches.

    Args:
        http_address: as its option says: a name there is one that it is meant to have.
        broadcast_address: as its option says.
        hostname: of the machine.
    """
    host = parse_address(http_address, "http-address").host if http_address else ""
    return frozenset(name.lower() for name in (host, broadcast_address, hostname) if name)


class HttpAccess:
    """Checks each request.

    Args:
        token: what ``Authorization: Bearer`` must carry. None: nothing is asked for.
        own_names: the names under which this machine alone is reached, besides those of the loopback interface. None:
            other machines reach the API, by whatever name.
    """

    def __init__(self, token: str | None, *, own_names: Collection[str] | None) -> None:
        self._expected = None if token is None else token.encode()
        self._own_names = None if own_names is None else frozenset(name.lower() for name in own_names)

    def check(self, headers: Headers) -> None:
        """Pass when a request may be answered.

        Raises:
            ApiError: 401 or 403.
        """
        if self._expected is not None:
            scheme, _, token = headers.get("authorization", "").partition(" ")
            is_it = hmac.compare_digest(token.strip(" ").encode("utf-8", "replace"), self._expected)
            if not is_it or scheme.lower() != "bearer":
                raise ApiError(401, "UNAUTHORIZED", _CHALLENGE)
            return
        host = headers.get("host")
        if not self._is_own(host):
            raise ApiError(403, "FORBIDDEN_HOST")
        origin = headers.get("origin")
        if headers.get("sec-fetch-site") not in _OWN_SITE or (
            origin is not None and origin not in (f"http://{host}", f"https://{host}")
        ):
            raise ApiError(403, "FORBIDDEN_ORIGIN")

    def check_debugging(self, client: str | None) -> None:
        """Pass when a request that `check` has passed may look into the process, and keep it busy.

        Args:
            client: whose it is, as `penstock.http.client_shares.client_of` tells.

        Raises:
            ApiError: 403: it is from another machine, and shows no token.
        """
        if self._expected is None and client is not None:
            raise ApiError(403, "FORBIDDEN")

    def _is_own(self, host: str | None) -> bool:
        """Whether this is how programs of this machine name it; HTTP/1.0 has no Host, and a socket's path no name."""
        if self._own_names is None or not host:
            return True
        name = _PORT.sub("", host).lower()
        return name in self._own_names or _LOOPBACK.fullmatch(name) is not None
