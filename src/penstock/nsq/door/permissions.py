"""What a client may do, as an authorization server says it. Pure.

A server answers with a time to live and a list of permissions. Each is for the topics and channels that its regular
expressions are found in, so ``^`` and ``$`` are to be written. Who publishes does so on no channel, which an expression
has to allow as well.
"""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from typing import Final

import msgspec
from msgspec import Struct

_PUBLISH: Final = "publish"
_SUBSCRIBE: Final = "subscribe"


class _Entry(Struct):
    topic: str = ""
    channels: list[str] | None = None
    permissions: list[str] | None = None


class _Answer(Struct):
    ttl: int = 0
    authorizations: list[_Entry] | None = None
    identity: str = ""
    identity_url: str = ""


_decoder: Final = msgspec.json.Decoder(_Answer)


class UnusableAnswer(Exception):
    """What an authorization server says cannot be acted on."""


@dataclass(frozen=True, slots=True)
class Permission:
    """For some topics and channels. ``may`` has the words publish and subscribe."""

    may: frozenset[str]
    topic: re.Pattern[str]
    channels: tuple[re.Pattern[str], ...]

    def allows(self, topic: str, channel: str) -> bool:
        """As `Permissions.allow`."""
        if (_SUBSCRIBE if channel else _PUBLISH) not in self.may or not self.topic.search(topic):
            return False
        return any(pattern.search(channel) for pattern in self.channels)


@dataclass(frozen=True, slots=True)
class Permissions:
    """What a client may do for a time.

    Attributes:
        identity, identity_url: who it is, for people.
        permissions: one of them has to allow what is done.
        expires_at: when the server is to be asked again, on the clock of who asked.
    """

    identity: str
    identity_url: str
    permissions: tuple[Permission, ...]
    expires_at: float

    def allow(self, topic: str, channel: str) -> bool:
        """Whether the client may subscribe to this channel; without one, whether it may publish to the topic."""
        return any(permission.allows(topic, channel) for permission in self.permissions)

    def have_expired(self, now: float) -> bool:
        """Whether the server has to be asked again."""
        return self.expires_at <= now

    def told(self) -> bytes:
        """What the client is told of them."""
        return msgspec.json.encode(
            {
                "identity": self.identity,
                "identity_url": self.identity_url,
                "permission_count": len(self.permissions),
            }
        )


def permissions_of(answer: bytes, now: float) -> Permissions:
    """What a server's answer says.

    Args:
        answer: JSON.
        now: seconds, on the clock that `Permissions.have_expired` is asked with.

    Raises:
        UnusableAnswer: it cannot be read; or a permission, an expression or the time to live is none.
    """
    try:
        said = _decoder.decode(answer)
    except (msgspec.DecodeError, RecursionError) as error:
        raise UnusableAnswer(str(error)) from None
    permissions = tuple(_permission_of(entry) for entry in said.authorizations or ())
    if said.ttl <= 0:
        raise UnusableAnswer(f"invalid TTL {said.ttl} (must be >0)")
    return Permissions(said.identity, said.identity_url, permissions, now + said.ttl)


def _permission_of(entry: _Entry) -> Permission:
    may = frozenset(entry.permissions or ())
    unknown = may - {_PUBLISH, _SUBSCRIBE}
    if unknown:
        raise UnusableAnswer(f"unknown permission {min(unknown)}")
    channels = tuple(_compiled("channel", channel) for channel in entry.channels or ())
    return Permission(may, _compiled("topic", entry.topic), channels)


def _compiled(what: str, expression: str) -> re.Pattern[str]:
    """A regular expression. One that Go's would read otherwise is refused rather than guessed at."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # of what may come to mean something else, such as [[:alpha:]]
            return re.compile(expression, re.ASCII)
    except (re.error, Warning, OverflowError, RecursionError) as error:
        raise UnusableAnswer(f"unable to compile {what} {expression!r}: {error}") from None
