"""Which resource a path names."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from penstock.gate.requests import RouteRequest
from penstock.http.messages import Answer

Handler = Callable[[RouteRequest], Awaitable[Answer]]

_PREFIX: Final = "/v1/"


class Route:
    """A resource.

    Args:
        name: in metrics.
        handlers: by method.
        reading: the method whose handler reads the body. What others bring is refused before they are called.
        open_to_all: whether anybody may ask, without a token.
    """

    __slots__ = ("allow", "handlers", "name", "open", "reading")

    def __init__(
        self, name: str, handlers: dict[str, Handler], *, reading: str = "POST", open_to_all: bool = False
    ) -> None:
        self.name = name
        self.handlers = handlers
        if "GET" in handlers:
            self.handlers = {**handlers, "HEAD": handlers["GET"]}
        self.allow = ", ".join(sorted(self.handlers))
        self.open = open_to_all
        self.reading = reading


class Routes:
    """All resources.

    Args:
        whole: by their path, where that is always the same.
        single: those whose path names something: by what comes before the name and what comes behind it, such as
            ``("jobs", "result")`` for ``/v1/jobs/ID/result``; the latter is empty where nothing does. Where it ends
            with a slash, as ``("topics", "channels/")``, another name follows: of ``/v1/topics/A/channels/B`` the name
            is ``A/B``. Where it has two, as ``("workflows", "steps//results")``, that name stands between them. It may
            have slashes of its own.
    """

    def __init__(self, whole: Mapping[str, Route], single: Mapping[tuple[str, str], Route]) -> None:
        self._whole = whole
        self._single = single

    def find(self, path: str) -> tuple[Route | None, str]:
        """The resource of a path, with the name that is in it, empty where there is none. None: there is no such
        resource."""
        route = self._whole.get(path)
        if route is not None:
            return route, ""
        if not path.startswith(_PREFIX):
            return None, ""
        kind, _, rest = path[len(_PREFIX) :].partition("/")
        subject, slash, what = rest.partition("/")
        if not subject or (slash and not what) or what.endswith("/") or "//" in what:
            return None, ""
        route = self._single.get((kind, what))
        part, _, second = what.partition("/")
        if route is None and second:
            name, _, last = second.rpartition("/")
            route = self._single.get((kind, f"{part}//{last}")) if name else None
            if route is not None:
                return route, f"{subject}/{name}"
            route, subject = self._single.get((kind, f"{part}/")), f"{subject}/{second}"
        return (None, "") if route is None else (route, subject)
