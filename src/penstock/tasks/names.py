"""What names and options of tasks and jobs may be. Every check raises `InvalidOption` naming the field."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NoReturn

from penstock.model import limits
from penstock.model.errors import InvalidOption
from penstock.model.job import MESSAGE_TASK
from penstock.model.wording import with_article

_TASK_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.:-]{0,199}")
_LABEL = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_SHOWN_CHARACTERS_MAX = 100
_MAIN_MODULES = ("__main__", "__mp_main__")


def refuse(field: str, why: str) -> NoReturn:
    """Raise InvalidOption for ``field``; ``why`` follows its name in the message."""
    raise InvalidOption(f"{field} {why}.", field=field)


def shown(value: object) -> str:
    """A value in a message: short, whatever it is. Some cannot be shown at all, such as a number of 5,000 digits."""
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - the value is anybody's
        return f"{with_article(type(value).__name__)} that cannot be shown"
    return text if len(text) <= _SHOWN_CHARACTERS_MAX else text[: _SHOWN_CHARACTERS_MAX - 1] + "…"


def default_task_name(function: Callable[..., object]) -> str:
    """``module.function``. A function of ``__main__`` takes its file's module name: script and worker agree.

    What is typed into an interpreter has no file, and is named ``__main__.function``.
    """
    module = function.__module__
    if module in _MAIN_MODULES:
        module = _main_module_name(function)
    return f"{module}.{function.__name__}"


def _main_module_name(function: Callable[..., object]) -> str:
    """The name under which another process imports the file that runs as ``__main__``."""
    code = getattr(function, "__code__", None)
    # The function was typed at a prompt. Its module may have a file all the same, as after `python -i`.
    if code is None or code.co_filename.startswith("<"):
        return "__main__"
    module = sys.modules.get(function.__module__)
    spec = getattr(module, "__spec__", None)
    if spec is not None and spec.name not in _MAIN_MODULES:
        return str(spec.name)
    # A notebook has a file for each cell, but none for its module.
    return "__main__" if getattr(module, "__file__", None) is None else Path(code.co_filename).stem


def closest(name: str, known: Iterable[str]) -> str | None:
    """The one of ``known`` that was probably meant: spelled nearly so, or the same after its last dot. None: none."""
    from difflib import get_close_matches

    choices = list(known)
    close = get_close_matches(name, choices, n=1) or [one for one in choices if one.rpartition(".")[2] == name]
    return close[0] if close else None


def check_task_name(name: object) -> str:
    """A task's name.

    Raises:
        InvalidOption: it is not one.
    """
    if not isinstance(name, str) or not _TASK_NAME.fullmatch(name):
        refuse("name", f"is {shown(name)}: a task's name is a letter or _, then up to 199 of A-Z a-z 0-9 _ . : -")
    if name == MESSAGE_TASK:
        refuse("name", f"is {name!r}, the task of messages: give another, or take messages with @app.consumer")
    return name


def check_queue(queue: object) -> str:
    """A queue's name.

    Raises:
        InvalidOption: it is not one.
    """
    if not isinstance(queue, str) or not _LABEL.fullmatch(queue):
        channel = "a channel gets what is published to its topic, and @app.consumer says what holds for it; "
        hint = channel if isinstance(queue, str) and ":" in queue else ""
        refuse("queue", f"is {shown(queue)}: {hint}a queue is 1 to 64 of A-Z a-z 0-9 _ . -")
    return queue


def check_tags(tags: object) -> tuple[str, ...]:
    """Tags, each once, in the order given.

    Raises:
        InvalidOption: one is not a tag, or there are too many.
    """
    if isinstance(tags, str) or not isinstance(tags, Iterable):
        refuse("tags", f"is {shown(tags)}: give a list of strings")
    found = tuple(dict.fromkeys(tags))
    for tag in found:
        if not isinstance(tag, str) or not _LABEL.fullmatch(tag):
            refuse("tags", f"has {shown(tag)}: a tag is 1 to 64 of A-Z a-z 0-9 _ . -")
    if len(found) > limits.JOB_TAGS_MAX:
        refuse("tags", f"has {len(found)} tags; the limit is {limits.JOB_TAGS_MAX}")
    return found


def check_headers(headers: object) -> dict[str, str]:
    """A job's headers.

    Raises:
        InvalidOption: they are not strings by strings, or too large together.
    """
    if not isinstance(headers, Mapping):
        refuse("headers", f"is {shown(headers)}: give strings by name")
    size_bytes = 0
    for name, value in headers.items():
        if not isinstance(name, str) or not isinstance(value, str):
            refuse("headers", f"has {shown(name)}: {shown(value)}: both must be strings")
        size_bytes += _size_bytes("headers", name) + _size_bytes("headers", value)
    if size_bytes > limits.JOB_HEADERS_BYTES_MAX:
        refuse("headers", f"has {size_bytes} bytes; the limit is {limits.JOB_HEADERS_BYTES_MAX}")
    return dict(headers)


def check_idempotency_key(key: object) -> str:
    """An idempotency key.

    Raises:
        InvalidOption: it is not a string, empty or too long.
    """
    if not isinstance(key, str) or not key:
        refuse("idempotency_key", f"is {shown(key)}: give a string that is not empty")
    size_bytes = _size_bytes("idempotency_key", key)
    if size_bytes > limits.IDEMPOTENCY_KEY_BYTES_MAX:
        refuse("idempotency_key", f"has {size_bytes} bytes; the limit is {limits.IDEMPOTENCY_KEY_BYTES_MAX}")
    return key


def check_priority(priority: object) -> int:
    """A priority, higher first.

    Raises:
        InvalidOption: it is not a whole number in the range.
    """
    least, most = limits.PRIORITY_MIN, limits.PRIORITY_MAX
    if not isinstance(priority, int) or isinstance(priority, bool) or not least <= priority <= most:
        refuse("priority", f"is {shown(priority)}: a priority is a whole number from {least} to {most}")
    return int(priority)


def check_seconds(field: str, value: Any, *, zero: bool = True) -> float:
    """A duration in seconds, finite and not negative.

    Args:
        field: the option's name.
        value: what was given.
        zero: whether 0 is allowed.

    Raises:
        InvalidOption: it is not such a number.
    """
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        refuse(field, f"is {shown(value)}: give seconds as a number")
    # Compared before anything is computed: a whole number may be too large for a float. NaN compares false to all.
    if not value >= 0 or (value == 0 and not zero):
        refuse(field, f"is {shown(value)}: it must be {'0 or more' if zero else 'more than 0'}")
    if not value <= limits.DELAY_S_MAX:
        refuse(field, f"is {shown(value)}: the limit is {limits.DELAY_S_MAX:.0f} seconds")
    return float(value)


def _size_bytes(field: str, text: str) -> int:
    try:
        return len(text.encode())
    except UnicodeEncodeError:
        refuse(field, f"has {shown(text)}, which is not valid Unicode")
