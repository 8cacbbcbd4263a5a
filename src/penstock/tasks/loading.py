"""Finding an application by ``module:attribute``, as the command line and the processes it starts name it."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from typing import Final

from penstock.model.errors import InvalidOption, PenstockError
from penstock.model.wording import with_article
from penstock.tasks.app import Penstock

__all__ = ["check_tasks", "load_app"]

_TOLD_CHARACTERS_MAX: Final = 500
_PACKAGE: Final = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "")


def load_app(path: str, url: str | None = None) -> Penstock:
    """Import the application. The working directory is looked in first, as with ``python -m``.

    Args:
        path: ``module:attribute``; the attribute may have dots.
        url: keep its jobs here, whatever it says itself. None: as it says.

    Raises:
        InvalidOption: it is not of that form, there is no such module or attribute, importing raised, or it is no
            application. The message says which, in a line or two.
    """
    module_name, _, attribute = path.partition(":")
    if not module_name or not attribute:
        raise _refusal(f"{path!r} is not module:attribute, such as shop.jobs:app.")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        found: object = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and (module_name == error.name or module_name.startswith(f"{error.name}.")):
            raise _refusal(f"There is no module {error.name!r} in {os.getcwd()} or among what is installed.") from None
        raise _broken(path, error) from None
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - a module may raise anything when it is imported
        raise _broken(path, error) from None
    for name in attribute.split("."):
        try:
            found = getattr(found, name)
        except AttributeError:
            raise _refusal(f"The module {module_name!r} has no {attribute!r}.{_hint(found, module_name)}") from None
        except Exception as error:  # noqa: BLE001 - a module may make its attributes when they are asked for
            raise _broken(path, error) from None
    if not isinstance(found, Penstock):
        raise _refusal(f"{path} is {with_article(type(found).__name__)}, not a Penstock application.")
    if url is not None:
        found.redirect(url)
    return found


def check_tasks(path: str, app: Penstock) -> None:
    """Refuse an application of which nothing can be run, before anything is started for it.

    Raises:
        InvalidOption: it has no task and no consumer, or one whose annotations cannot be resolved; a limit that would
            never hold; or a schedule whose arguments do not fit.
    """
    if not app.tasks and not app.consumers:
        raise _refusal(
            f"{path} has no task and no consumer: a function under @{path.partition(':')[2]}.task in a module that it"
            " imports."
        )
    try:
        for task in app.tasks.values():
            task.record()
        for consumer in app.consumers.values():
            consumer.resolve()
        app.check_queues()
        app.schedule_records()
    except Exception as error:  # noqa: BLE001 - evaluating an annotation may raise anything
        raise _broken(path, error) from None


def _refusal(why: str) -> InvalidOption:
    return InvalidOption(why, field="app")


def _broken(path: str, error: BaseException) -> InvalidOption:
    """Importing raised: what, and where in the user's code."""
    own = isinstance(error, PenstockError)
    told = str(error) if own else traceback.format_exception_only(error)[-1].strip()
    told = told if len(told) <= _TOLD_CHARACTERS_MAX else told[: _TOLD_CHARACTERS_MAX - 1] + "…"
    where = ""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not _is_machinery(frame.filename)]
    if isinstance(error, SyntaxError) and error.filename:
        where = f" ({error.filename}, line {error.lineno})"
    elif frames:
        where = f" ({frames[-1].filename}, line {frames[-1].lineno})"
    return _refusal(f"{path} cannot be imported: {told}{where}")


def _is_machinery(file_name: str) -> bool:
    return file_name.startswith(("<", _PACKAGE)) or file_name == importlib.__file__


def _hint(module: object, module_name: str) -> str:
    names = sorted(name for name, value in vars(module).items() if isinstance(value, Penstock))
    return f" It has {', '.join(f'{module_name}:{name}' for name in names)}." if names else ""
