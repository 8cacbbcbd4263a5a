"""The texts of names in a call: of a parameter, of a dotted path into one, of a header.

Limits, unique jobs, fairness and search compare jobs by such texts (`penstock.model.flow_texts`). Whoever enqueues a
job computes them once, wherever the job comes from: `NamedTexts` is made for a task and a list of names. A producer
that has the arguments at hand asks `NamedTexts.of_call`; a door that has a checked body asks `NamedTexts.of_body`. Both
answer the same for equal calls: an argument that was left out has its default, and each has its annotated type.

The text of a string is the string; that of anything else is what it is in JSON, without quotes around it where it is a
string there: ``3``, ``null``, ``2026-01-31``, ``{"a":1}``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from penstock.model.flow_texts import bounded, covered
from penstock.tasks.arguments.subclasses import to_wire

ABSENT: Final = object()
"""There is no such argument, or nothing at the end of the path."""
_ORDERED: Final = msgspec.json.Encoder(enc_hook=to_wire, order="sorted").encode

Texts = list[str | None]
"""One for each name, in order. None: the call has none."""
Decode = Callable[[bytes], tuple[tuple[Any, ...], dict[str, Any]]]


def text_of(value: Any) -> str:
    """The text of a value, however long."""
    if type(value) is str:
        return value
    try:
        encoded = _ORDERED(value)
        return msgspec.json.decode(encoded, type=str) if encoded[:1] == b'"' else encoded.decode()
    except (TypeError, ValueError, OverflowError, RecursionError):
        return str(value)


class Place:
    """Where the value of one name is found in a call.

    Attributes:
        name: as it was declared.
        position: of its parameter among those that may be given by position; None: it is given by name alone.
        by_name: its parameter may be given by name.
        path: what follows the parameter's name.
        default: the text when the argument is left out; None: there is none.
        simple: classes of values that need not be decoded to know their text.
        is_header: ``parameter`` is a header's name.
    """

    __slots__ = ("by_name", "default", "is_header", "name", "parameter", "path", "position", "simple")

    def __init__(
        self,
        name: str,
        parameter: str,
        path: Sequence[str] = (),
        *,
        position: int | None = None,
        by_name: bool = True,
        default: str | None = None,
        simple: frozenset[Any] = frozenset(),
        is_header: bool = False,
    ) -> None:
        self.name = name
        self.parameter = parameter
        self.path = tuple(path)
        self.position = position
        self.by_name = by_name
        self.default = default
        self.simple = simple
        self.is_header = is_header

    def value(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """What stands there in a call; `ABSENT`: the argument was left out."""
        position = self.position
        if position is not None and position < len(args):
            return args[position]
        return kwargs.get(self.parameter, ABSENT) if self.by_name else ABSENT

    def text(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], headers: Mapping[str, str] | None) -> str | None:
        """The text in a decoded call, not bounded."""
        if self.is_header:
            return None if headers is None else headers.get(self.parameter)
        value = self.value(args, kwargs)
        if value is ABSENT:
            return self.default
        found = follow(value, self.path)
        return None if found is ABSENT else text_of(found)


class NamedTexts:
    """Computes the texts of some names in the calls of one task.

    Args:
        places: where the values are found, one for each name.
        decode: reads a body that fits the task.
        sensitive: parameters of whose texts only digests are told.

    Attributes:
        names: in the order of their texts.
        reads_arguments: not all of them are headers.
    """

    def __init__(self, places: Sequence[Place], decode: Decode, sensitive: Collection[str] = ()) -> None:
        self.names = tuple(place.name for place in places)
        self.reads_arguments = not all(place.is_header for place in places)
        self._places = list(places)
        self._decode = decode
        self._covered = [
            index for index, place in enumerate(places) if not place.is_header and place.parameter in sensitive
        ]

    def of_call(
        self, args: tuple[Any, ...], kwargs: Mapping[str, Any], headers: Mapping[str, str] | None, body: bytes
    ) -> Texts:
        """The texts in a call as its caller gave it. ``body`` is what it was encoded to. It is decoded only where the
        class of an argument is not the one that the argument will arrive as."""
        texts: Texts = []
        count = len(args)
        for place in self._places:
            position = place.position
            if position is not None and position < count:
                value = args[position]
            elif place.is_header:
                text = None if headers is None else headers.get(place.parameter)
                texts.append(text if text is None else bounded(text))
                continue
            else:
                value = kwargs.get(place.parameter, ABSENT) if place.by_name else ABSENT
                if value is ABSENT:
                    texts.append(place.default if place.default is None else bounded(place.default))
                    continue
            if place.path:
                value = follow(value, place.path)
            kind = type(value)
            if kind not in place.simple:
                return self.of_body(body, headers)
            texts.append(bounded(value if kind is str else text_of(value)))
        return self._told(texts) if self._covered else texts

    def of_body(self, body: bytes, headers: Mapping[str, str] | None) -> Texts:
        """The texts in the call that a body holds.

        Raises:
            InvalidArguments: the body does not fit the task.
        """
        args, kwargs = self._decode(body) if self.reads_arguments else ((), {})
        found = [place.text(args, kwargs, headers) for place in self._places]
        return self._told([text if text is None else bounded(text) for text in found])

    def _told(self, texts: Texts) -> Texts:
        for index in self._covered:
            text = texts[index]
            texts[index] = None if text is None else covered(text)
        return texts


class WholeText:
    """One text of all arguments of a call: the same for equal calls, through whichever door they came.

    Args:
        places: of all parameters by name or position, in order.
        count: how many of them may be given by position. Further positional arguments follow those.
        decode: reads a body that fits the task.
        is_covered: some of the arguments are sensitive, so only a digest is told.
    """

    def __init__(self, places: Sequence[Place], count: int, decode: Decode, *, is_covered: bool = False) -> None:
        self._places = list(places)
        self._count = count
        self._is_covered = is_covered
        self._named = {place.parameter for place in places if place.by_name}
        self._decode = decode

    def of_body(self, body: bytes) -> str:
        """The text of the call that a body holds.

        Raises:
            InvalidArguments: the body does not fit the task.
        """
        args, kwargs = self._decode(body)
        texts: list[Any] = [place.text(args, kwargs, None) for place in self._places]
        more = [text_of(value) for value in args[self._count :]]
        others = [[name, text_of(kwargs[name])] for name in sorted(kwargs) if name not in self._named]
        if more or others:
            texts += [more, others]
        text = msgspec.json.encode(texts).decode()
        return covered(text) if self._is_covered else bounded(text)


def follow(value: Any, path: Iterable[str]) -> Any:
    """What is found in a value by the names of keys or attributes; `ABSENT`: there is none, or ``value`` is that."""
    for step in path:
        value = value.get(step, ABSENT) if isinstance(value, Mapping) else getattr(value, step, ABSENT)
        # Methods are no data. `named_places` lets no name begin with an underscore.
        if value is ABSENT or callable(value):
            return ABSENT
    return value
