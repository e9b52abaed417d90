"""What a user names as ``package.module:name``: a task, a program, a metric of their own.

Only what someone typed is loaded, in a configuration or an argument; what a run's folder holds never is.
"""

from __future__ import annotations

import importlib
import os
import sys
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from dspy_fusion.programs.errors import ConfigurationError

TASK_GROUP = "dspy_fusion.tasks"
"""The group of entry points in which other packages offer tasks; each is what ``load_task`` takes by its name."""


def is_named(text: str) -> bool:
    """Whether a text names an object of a module, as ``package.module:name`` does."""
    module, sign, name = text.partition(":")
    return bool(sign and name) and all(part.isidentifier() for part in (*module.split("."), *name.split(".")))


def load_named(text: str, what: str) -> Any:
    """Imports a module, from the working folder too, and returns what it has under the name.

    Args:
        text: ``package.module:name``.
        what: what it is to be, for messages.

    Raises:
        ConfigurationError: there is no such module, it cannot be imported, or it has no such name.
    """
    if not is_named(text):
        raise ConfigurationError(f"{what} is written as package.module:name, but got {text!r}")
    module, _, name = text.partition(":")
    if os.getcwd() not in sys.path and "" not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        value: Any = importlib.import_module(module)
    except Exception as error:
        raise ConfigurationError(
            f"{what} {text!r}: the module {module} cannot be imported ({type(error).__name__}: {_line(error)})"
        ) from error
    for part in name.split("."):
        if not hasattr(value, part):
            raise ConfigurationError(f"{what} {text!r}: {module} can be imported, but has no {name!r}")
        value = getattr(value, part)
    return value


def offered_tasks() -> dict[str, EntryPoint]:
    """The tasks that installed packages offer, by name; none of them is imported."""
    return {point.name: point for point in entry_points(group=TASK_GROUP)}


def load_offered(point: EntryPoint) -> Any:
    """What an entry point stands for; raises ``ConfigurationError`` where it cannot be imported."""
    try:
        return point.load()
    except Exception as error:
        raise ConfigurationError(
            f"the task {point.name!r} of another package ({point.value}) cannot be imported:"
            f" {type(error).__name__}: {_line(error)}"
        ) from error


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
