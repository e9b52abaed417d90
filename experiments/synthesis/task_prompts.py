"""Prompts that are questions of one of the library's tasks, and the task's metric over answers to them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import dspy
from dspy.utils.exceptions import AdapterParseError

from dspy_fusion.programs.errors import ConfigurationError
from dspy_fusion.programs.tasks.signatures import input_digest, task_signature

from ..own_tasks.adapters import spoken
from ..own_tasks.own_examples import is_own_data
from ..own_tasks.own_task import configured_task
from ..plans.own_programs import program_of, proposing
from ..tasks import Task
from .program import PROMPT, RESPONSE
from .prompts import Prompt
from .synthesis_config import SynthesisConfig

_ALL = 10**9  # rows


class TaskSource:
    """Questions of a task as an adapter words them, plainly where the configuration names none; tasks are read whole.

    Args:
        config: of the synthesis.
        judge: grades, for a task whose metric asks one.

    Raises:
        ConfigurationError: there is no such task, split or adapter, or it is not said how many rows.
    """

    def __init__(self, config: SynthesisConfig, judge: dspy.BaseLM | None = None) -> None:
        prompts = config.prompts
        if not config.rows and not is_own_data(config.data):
            raise ConfigurationError(
                f"rows=0 asks for all of {prompts.task}, but a task may have no end; give rows = 1000 or --rows 1000"
            )
        self._task = _task(config, judge)
        if prompts.split not in self._task.splits and not is_own_data(config.data):
            raise ConfigurationError(
                f"the task {prompts.task!r} has no split {prompts.split!r}; it has: {', '.join(self._task.splits)}"
            )
        self.config = prompts
        self._signature = task_signature(self._task.program(self._task.instructions))
        self._adapter = self._task.adapter()
        self._examples = self._task.examples(prompts.split, config.rows or _ALL)
        worded = [self._adapter.format(self._signature, [], dict(e.inputs().items())) for e in self._examples]
        self._texts = [messages[-1]["content"] for messages in worded]
        self.system = worded[0][0]["content"] if config.adapter else self._task.instructions
        self.total = len(self._texts)
        # Not how many: a synthesis may go on with more of them.
        self.about = {
            "task": prompts.task,
            "split": prompts.split,
            "digest_of_first": input_digest({"text": self._texts[0]}),
        }

    def read(self, start: int = 0) -> Iterator[Prompt]:
        """The prompts from a place on."""
        for index in range(start, len(self._texts)):
            where = f"{self.config.task}, {self.config.split}, example {index}"
            yield Prompt(index, self._texts[index], self.config.language, where)

    def graded(self) -> TaskMetric:
        """The task's metric over answers to these prompts."""
        return TaskMetric(self._task, self._adapter, dict(zip(self._texts, self._examples, strict=True)))


class TaskMetric:
    """A task's metric as a reward of answers to its prompts; an answer that lacks the task's fields scores 0.

    Args:
        task: whose metric it is.
        adapter: reads answers.
        examples: by prompt.
    """

    def __init__(self, task: Task, adapter: dspy.Adapter, examples: Mapping[str, dspy.Example]) -> None:
        self.task, self.adapter, self.examples = task, adapter, examples
        self._signature = task_signature(task.program(task.instructions))

    def __call__(self, inputs: Mapping[str, Any], prediction: dspy.Prediction) -> float:
        """The score of an answer, in [0, 1]."""
        try:
            fields = self.adapter.parse(self._signature, prediction[RESPONSE])
        except AdapterParseError:
            return 0.0
        return self.task.metric(self.examples[inputs[PROMPT]], dspy.Prediction(**fields))


def _task(config: SynthesisConfig, judge: dspy.BaseLM | None) -> Task:
    named = replace(config, task=config.prompts.task, adapter="")
    task = configured_task(named, judge, graded_by_metric=False)
    if config.program:
        signature = task_signature(proposing(program_of(config.program)).program)
        task = replace(task, program=lambda instructions: dspy.Predict(signature), instructions=signature.instructions)
    if config.best is not None and config.best.scorer == "metric" and task.needs_judge and not config.metric_judge:
        raise ConfigurationError(f'the metric of {task.name} asks a judge; name a model: metric_judge = "..."')
    return spoken(task, config.adapter or "plain")
