"""Tasks: what is asked, of which examples, and how an answer is graded.

Adding one is a file here with a function ``make_task(setup)`` and its name in ``TASKS``; the file is imported when the
task is asked for.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import dspy

from dspy_fusion.programs.errors import ConfigurationError

from ..rows.sources import Source
from .grading import remembered
from .named_objects import is_named, load_named, load_offered, offered_tasks
from .task import SetAside, Setup, Task

__all__ = ["TASKS", "SetAside", "Setup", "Source", "Task", "load_task", "loaded_task"]

_LOADED: dict[str, Task] = {}  # tasks of others, by the names under which this process was told to load them


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
    "m_arena_hard": _made_in("m_arena_hard"),
    "mt_bench": _made_in("mt_bench"),
    "humaneval": _made_in("humaneval"),
    "mbpp": _made_in("mbpp"),
}
"""From a task's name to what makes it."""


def load_task(
    name: str,
    *,
    data: str | Path | None = None,
    languages: Sequence[str] = (),
    judge: dspy.BaseLM | None = None,
    metric: str = "",
) -> Task:
    """The task of that name; its rows are read when examples are asked for.

    Args:
        name: one of ``TASKS``; or of a task that an installed package offers under the entry points
            ``dspy_fusion.tasks``; or ``package.module:name`` of a task, or of a function that returns one.
        data: local folder of data; None takes that of the environment variable ``DSPY_FUSION_DATA``, else the Hugging
            Face hub.
        languages: the languages to ask in, of a task that has several; empty takes all.
        judge: the model that grades, for a task whose metric asks one. A task can be looked at without its judge; its
            metric then raises ``ConfigurationError``.
        metric: one of the metrics that the task offers, by name; empty takes its own.

    Raises:
        ConfigurationError: there is no such task, language or metric.
    """
    setup = Setup(data, tuple(dict.fromkeys(languages)), judge)
    task = TASKS[name](setup) if name in TASKS else _others(name, setup)
    if metric:
        task = _measured_by(task, metric)
    if task.needs_judge:
        task = replace(task, metric=remembered(task.metric))
    for language in languages:
        if language not in task.source.languages:
            names = (
                f"it has: {', '.join(task.source.languages)}" if task.source.languages else "it has one language only"
            )
            raise ConfigurationError(f"the task {name!r} has no language {language!r}; {names}")
    return task


def _measured_by(task: Task, metric: str) -> Task:
    if metric not in task.metrics:
        known = f"it offers: {', '.join(task.metrics)}" if task.metrics else "it has its own alone"
        raise ConfigurationError(f"the task {task.name!r} has no metric {metric!r}; {known}")
    return replace(task, metric=task.metrics[metric])


def loaded_task(name: str) -> Task | None:
    """The task of a name that a run's folder holds: a built-in one, or one that this process was told to load.

    Nothing is imported on a folder's word.
    """
    return load_task(name) if name in TASKS else _LOADED.get(name)


def _others(name: str, setup: Setup) -> Task:
    """A task that is not built in."""
    if is_named(name):
        task = load_named(name, "task")
    elif name in (offered := offered_tasks()):
        task = load_offered(offered[name])
    else:
        raise ConfigurationError(
            f"there is no task {name!r}; there are: {', '.join([*TASKS, *offered])}, or your own as module:name"
        )
    if callable(task) and not isinstance(task, Task):
        task = task(setup) if inspect.signature(task).parameters else task()
    if not isinstance(task, Task):
        raise ConfigurationError(
            f"task {name!r} must be a Task, or a function that returns one, but it is a {type(task).__name__}"
        )
    _LOADED[name] = _LOADED[task.name] = task
    return task
