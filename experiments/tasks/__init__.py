"""Tasks: what is asked, of which examples, and how an answer is graded.

Adding one is a file here with a function ``make_task(setup)`` and its name in ``TASKS``; the file is imported when the
task is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import dspy

from dspy_fusion.programs.errors import ConfigurationError

from ..rows.sources import Source
from .grading import remembered
from .task import SetAside, Setup, Task

__all__ = ["TASKS", "SetAside", "Setup", "Source", "Task", "load_task"]


def _made_in(module: str) -> Callable[[Setup], Task]:
    return lambda setup: import_module(f".{module}", __name__).make_task(setup)


TASKS: dict[str, Callable[[Setup], Task]] = {
    "worksheets": _made_in("worksheets"),
    "gsm8k": _made_in("gsm8k"),
    "mgsm": _made_in("mgsm"),
    "msvamp": _made_in("msvamp"),
    "strategyqa": _made_in("strategyqa"),
    "arc_challenge": _made_in("arc_challenge"),
    "mmlu": _made_in("mmlu"),
    "ifeval": _made_in("ifeval"),
    "geofact_x": _made_in("geofact_x"),
    "wmt24pp": _made_in("wmt24pp"),
    "arena": _made_in("arena"),
    "mt_bench": _made_in("mt_bench"),
    "humaneval": _made_in("humaneval"),
    "mbpp": _made_in("mbpp"),
}
"""From a task's name to what makes it."""


def load_task(
    name: str, *, data: str | Path | None = None, languages: Sequence[str] = (), judge: dspy.BaseLM | None = None
) -> Task:
    """The task of that name; its rows are read when examples are asked for.

    Args:
        name: one of ``TASKS``.
        data: local folder of data; None takes that of the environment variable ``DSPY_FUSION_DATA``, else the Hugging
            Face hub.
        languages: the languages to ask in, of a task that has several; empty takes all.
        judge: the model that grades, for a task whose metric asks one. A task can be looked at without its judge; its
            metric then raises ``ConfigurationError``.

    Raises:
        ConfigurationError: there is no such task or language.
    """
    if name not in TASKS:
        raise ConfigurationError(f"there is no task {name!r}; there are: {', '.join(TASKS)}")
    task = TASKS[name](Setup(data, tuple(dict.fromkeys(languages)), judge))
    if task.needs_judge:
        task = replace(task, metric=remembered(task.metric))
    for language in languages:
        if language not in task.source.languages:
            known = (
                f"it has: {', '.join(task.source.languages)}" if task.source.languages else "it has one language only"
            )
            raise ConfigurationError(f"the task {name!r} has no language {language!r}; {known}")
    return task
