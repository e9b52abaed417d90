"""A task made of a user's own examples and metric, and the task that a configuration names, own or not."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import dspy
from dspy.signatures.signature import make_signature

from dspy_fusion.programs.errors import ConfigurationError

from ..rows.sources import Source
from ..tasks import Task, load_task
from .adapters import spoken, with_shots
from .own_examples import HUB, is_own_data, own_examples
from .own_metrics import Grade, graded, metric_of

SPLIT = "test"
"""The only split that own examples have; whoever needs two parts takes the first rows and those after them."""


class OwnRows(Protocol):
    """What configurations say of a task; see :class:`RunConfig`."""

    @property
    def task(self) -> str: ...
    @property
    def data(self) -> str: ...
    @property
    def languages(self) -> tuple[str, ...]: ...
    @property
    def adapter(self) -> str: ...
    @property
    def inputs(self) -> tuple[str, ...]: ...
    @property
    def output(self) -> str: ...
    @property
    def metric(self) -> str: ...
    @property
    def shots(self) -> int: ...


def configured_task(config: OwnRows, judge: dspy.BaseLM | None = None, *, graded_by_metric: bool = True) -> Task:
    """The task that a configuration names: a built-in one, one of another package, ``module:name``, or own rows.

    Args:
        config: what names it.
        judge: grades, for a task whose metric asks one.
        graded_by_metric: whether own rows must say how answers are graded.

    Raises:
        ConfigurationError: there is no such task, or the rows or the metric are wrong.
    """
    if is_own_data(config.data):
        if not config.metric and graded_by_metric:
            raise ConfigurationError(
                f'data names rows of your own, {config.data}; say how answers are graded, as in metric = "exact"'
            )
        examples = own_examples(config.data, inputs=config.inputs, output=config.output)
        grade = metric_of(config.metric, config.output) if config.metric else _ungraded
        task = task_of(config.task, examples, grade, output=config.output, url=config.data)
        return with_shots(spoken(task, config.adapter), config.shots, own_rows=True)
    if config.inputs or config.output:
        raise ConfigurationError(
            "inputs and output go with rows of your own: set data to a .jsonl or .csv file, or to"
            " hf:owner/name@revision"
        )
    task = load_task(
        config.task, data=config.data or None, languages=config.languages, judge=judge, metric=config.metric
    )
    return with_shots(spoken(task, config.adapter), config.shots)


def _ungraded(example: dspy.Example, prediction: dspy.Prediction) -> float:
    raise ConfigurationError('nothing says how answers are graded; name it, as in metric = "exact"')


def name_of(data: str) -> str:
    """What a task of own rows is called, where the configuration gives it no name."""
    return data.removeprefix(HUB).partition("@")[0] if data.startswith(HUB) else Path(data).name.partition(".")[0]


def from_python(
    examples: Any,
    metric: Callable[..., Any] | str,
    *,
    inputs: Sequence[str],
    output: str,
    name: str,
    adapter: dspy.Adapter | None,
) -> tuple[Task, str]:
    """A task of what a Python caller gives, and what a run's configuration calls its metric.

    Another one is another run.

    Raises:
        ConfigurationError: an example does not say its inputs, or the metric is none.
    """
    rows = own_examples(examples, inputs=inputs, output=output)
    grade = metric_of(metric, output) if isinstance(metric, str) else graded(metric)
    from_file = isinstance(examples, str | Path)
    url, made = str(examples) if from_file else "", None if adapter is None else (lambda: adapter)
    task = task_of(name or (name_of(url) if from_file else "own"), rows, grade, output=output, url=url, adapter=made)
    if isinstance(metric, str):
        return task, metric
    kind = metric if hasattr(metric, "__qualname__") else type(metric)
    return task, f"{kind.__module__}.{getattr(kind, '__qualname__', '')}"


def task_of(
    name: str,
    examples: Sequence[dspy.Example],
    grade: Grade,
    *,
    output: str = "",
    url: str = "",
    adapter: Callable[[], dspy.Adapter] | None = None,
) -> Task:
    """A task of examples and a metric.

    Args:
        name: what the records call it.
        examples: each says its inputs and has an ``id``.
        grade: the metric, as ``own_metrics.graded`` makes it.
        output: the field that programs of ours answer in; programs of the user's own may answer in any.
        url: where the examples come from, for people.
        adapter: makes the adapter; None takes the one that DSPy is set to.
    """
    first = examples[0]
    labels = [key for key in first.labels() if key != "id"]

    def text(fields: Mapping[str, Any]) -> str:
        wanted = [output] if output and output in fields else [key for key in labels if key in fields]
        rest = [key for key in fields if key not in first.inputs() and key != "id"]
        shown = wanted or rest
        return str(fields[shown[0]]) if len(shown) == 1 else "\n".join(f"{key}: {fields[key]}" for key in shown)

    def program(instructions: str) -> dspy.Module:
        if not output:
            raise ConfigurationError(f"the task {name!r} does not say in which field to answer; name it with output")
        asked = ", ".join(first.inputs().keys())
        return dspy.Predict(make_signature(f"{asked} -> {output}", instructions or None))

    return Task(
        name=name,
        instructions="",
        program=program,
        adapter=adapter or (lambda: dspy.settings.adapter or dspy.ChatAdapter()),
        examples=lambda split, n: list(examples[:n]),
        metric=grade,
        answer_text=text,
        comparable=True,
        source=Source(licence="your own", url=url or "own examples", citation=""),
        splits=(SPLIT,),
    )
