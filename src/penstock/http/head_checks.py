"""What the head of a request must be beyond what the parser asks for (RFC 9110, RFC 9112).

The parser settles how a request is framed, and is strict there. What it lets pass, and what another server on the way
might read otherwise, is refused here, at every request, so it is a few comparisons where all is well.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final
from urllib.parse import unquote

from penstock.http.messages import Headers
from penstock.http.problems import HttpProblem
from penstock.model import limits

_HOST: Final = re.compile(
    r"(?:\[[0-9A-Fa-f:.]+\]|(?:[A-Za-z0-9._~!$&'()*+;=-]|%[0-9A-Fa-f]{2})*)(?::[0-9]{0,5})?", re.ASCII
)
_ORIGIN: Final = re.compile(rb"https?://([^/?#@\\]+)(?=[/?#]|$)", re.IGNORECASE)
_PERCENT_WITHOUT_DIGITS: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_VERSIONS: Final = ("1.1", "1.0")
_NAME_BYTES_REMEMBERED: Final = 40


def is_small(target: bytes, headers: Headers) -> bool:
    """Whether a head with these is not too large."""
    lines = sum(len(name) + len(value) for name, value in headers.items())
    return len(target) + lines <= limits.HTTP_HEAD_BYTES_MAX


def header_name(raw: bytes) -> str:
    """A header's name in lower case."""
    return _known_name(raw) if len(raw) <= _NAME_BYTES_REMEMBERED else raw.decode("latin-1").lower()


@lru_cache(maxsize=256)
def _known_name(raw: bytes) -> str:
    return raw.decode("latin-1").lower()


def check_head(version: str, headers: Headers) -> None:
    """Pass when a request of this version may have these headers.

    Raises:
        HttpProblem: ``version-not-supported``, ``malformed-request``, ``coding-not-supported``, ``expectation-failed``.
    """
    if version not in _VERSIONS:
        raise HttpProblem("version-not-supported", f"This is HTTP/{version}; HTTP/1.1 is spoken here.")
    host = headers.get("host")
    if host is None:
        if version == "1.1":
            raise HttpProblem("malformed-request", "There is no Host.")
    elif not is_host(host):
        raise HttpProblem("malformed-request", "Host is not one name or address, with its port.")
    if "transfer-encoding" in headers:
        if version == "1.0":
            raise HttpProblem("malformed-request", "HTTP/1.0 has no Transfer-Encoding.")
        if headers["transfer-encoding"].lower() != "chunked":
            raise HttpProblem("coding-not-supported", "Only `chunked` is taken as a Transfer-Encoding.")
    if "expect" in headers and headers["expect"].lower() != "100-continue":
        raise HttpProblem("expectation-failed", "Only `100-continue` can be expected.")


@lru_cache(maxsize=256)
def is_host(text: str) -> bool:
    """Whether this is a host, or one with its port. Two Host headers arrive as one with a comma, which is none."""
    return _HOST.fullmatch(text) is not None


def split_target(method: str, target: bytes, headers: dict[str, str]) -> tuple[str, str]:
    """Path, decoded, and query, not decoded, of what the first line of a request names.

    Clients that take the server for a proxy name its host there too, which then is the one that counts: it replaces the
    one in ``headers``.

    Raises:
        HttpProblem: ``malformed-request``.
    """
    if not target.startswith(b"/"):
        target = _without_origin(method, target, headers)
    if b"#" in target:
        raise HttpProblem("malformed-request", "The target has a fragment.")
    path, _, query = target.decode("latin-1").partition("?")
    return decoded(path) if "%" in path else path, query


def _without_origin(method: str, target: bytes, headers: dict[str, str]) -> bytes:
    if method == "CONNECT" or (method == "OPTIONS" and target == b"*"):
        return target
    origin = _ORIGIN.match(target)
    host = "" if origin is None else origin[1].decode("latin-1")
    if origin is None or not is_host(host):
        raise HttpProblem("malformed-request", "The target is a path, or the URL of one.")
    headers["host"] = host
    rest = target[origin.end() :]
    return rest if rest.startswith(b"/") else b"/" + rest


def decoded(text: str) -> str:
    """Text without its percent-encoding.

    Raises:
        HttpProblem: ``malformed-request``: a percent sign without its digits, or bytes that are not UTF-8.
    """
    if _PERCENT_WITHOUT_DIGITS.search(text):
        raise HttpProblem("malformed-request", "A percent sign in the target is followed by two hexadecimal digits.")
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise HttpProblem("malformed-request", "What is percent-encoded in the target is not UTF-8.") from None
