"""Tasks: what is asked, of which examples, and how an answer is graded. Adding one is a file here and its name in ``TASKS``."""

from __future__ import annotations

from dspy_fusion.programs.errors import ConfigurationError

from .task import Task
from .worksheets import WORKSHEETS

__all__ = ["TASKS", "Task", "load_task"]

TASKS = {task.name: task for task in (WORKSHEETS,)}


def load_task(name: str) -> Task:
    """The task of that name.

    Raises:
        ConfigurationError: there is none.
    """
    if name not in TASKS:
        raise ConfigurationError(f"there is no task {name!r}; there are: {', '.join(TASKS)}")
    return TASKS[name]
