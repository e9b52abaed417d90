"""How a task is put to the models, where that is to be another way than the task's own.

With ``plain`` a model that was never taught to fill in fields can be asked as well, as aggregation-trained models are
(arXiv 2501.11877): the task shrinks to its last output field, and the metric reads the answer from the whole
completion.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import dspy

from dspy_fusion.programs.errors import ConfigurationError
from dspy_fusion.programs.tasks.plain_adapter import PlainAdapter
from dspy_fusion.programs.tasks.signatures import task_signature

from .task import Task

ADAPTERS: dict[str, Callable[[], dspy.Adapter]] = {
    "chat": dspy.ChatAdapter,
    "json": dspy.JSONAdapter,
    "plain": PlainAdapter,
}
"""What ``adapter`` may be in a configuration."""


def spoken(task: Task, adapter: str) -> Task:
    """The task under another adapter; an empty name leaves it as it is.

    Raises:
        ConfigurationError: there is no such adapter.
    """
    if not adapter:
        return task
    if adapter not in ADAPTERS:
        raise ConfigurationError(f"there is no adapter {adapter!r}; there are: {', '.join(ADAPTERS)}")
    changed = replace(task, adapter=ADAPTERS[adapter])
    return (
        replace(changed, program=lambda instructions: _last_field(task.program(instructions)))
        if adapter == "plain"
        else changed
    )


def _last_field(program: dspy.Module) -> dspy.Module:
    signature = task_signature(program)
    *others, _ = signature.output_fields
    for name in others:
        signature = signature.delete(name)
    return dspy.Predict(signature)
