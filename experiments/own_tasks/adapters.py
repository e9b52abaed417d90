"""How a task is put to the models, where that is to be another way than the task's own.

By another adapter, or with solved examples in the prompt.

With ``plain`` a model that was never taught to fill in fields can be asked as well, as aggregation-trained models are
(arXiv 2501.11877): the task shrinks to its last output field, and the metric reads the answer from the whole
completion.

Solved examples (few-shot) are how the papers' base models are asked: URIAL has a model that was never tuned answer
(arXiv 2312.01552), and AFT draws its on-policy proposals so (arXiv 2501.11877).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import dspy

from dspy_fusion.programs.errors import ConfigurationError
from dspy_fusion.programs.tasks.plain_adapter import PlainAdapter
from dspy_fusion.programs.tasks.signatures import task_signature

from ..tasks import Task

ADAPTERS: dict[str, Callable[[], dspy.Adapter]] = {
    "chat": dspy.ChatAdapter,
    "json": dspy.JSONAdapter,
    "plain": PlainAdapter,
}
"""What ``adapter`` may be in a configuration."""
_SOLVED = ("train", "validation")  # splits whose examples may stand in a prompt, most wanted first


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


def with_shots(task: Task, count: int, *, own_rows: bool = False) -> Task:
    """The task with so many solved examples in its prompt.

    The first of another split, or of the user's own rows the first, which then are not asked.

    Raises:
        ConfigurationError: the task has no split with solved examples, or fewer of them, or they lack its answer.
    """
    if not count:
        return task
    split = task.splits[0] if own_rows else next((name for name in _SOLVED if name in task.splits), "")
    if not split:
        raise ConfigurationError(
            f"shots = {count}: the task {task.name!r} has no split of solved examples ({' or '.join(_SOLVED)}); set it"
            " to 0"
        )
    solved = task.examples(split, count)
    if len(solved) < count:
        raise ConfigurationError(f"shots = {count}, but {split!r} of {task.name!r} has {len(solved)} examples only")
    program = task.program

    def shown(instructions: str) -> dspy.Module:
        return _demonstrated(program(instructions), solved)

    changed = replace(task, program=shown)
    return replace(changed, examples=lambda split, n: task.examples(split, n + count)[count:]) if own_rows else changed


def _demonstrated(program: dspy.Module, solved: Sequence[dspy.Example]) -> dspy.Module:
    fields = task_signature(program)
    asked, answered = list(fields.input_fields), list(fields.output_fields)
    demos = [{name: example[name] for name in (*asked, *answered) if name in example} for example in solved]
    if not all(any(name in demo for name in answered) for demo in demos):
        raise ConfigurationError(f"shots: the solved examples have none of the answer's fields: {', '.join(answered)}")
    for predictor in program.predictors():
        predictor.demos = [dspy.Example(**demo).with_inputs(*asked) for demo in demos]
    return program
