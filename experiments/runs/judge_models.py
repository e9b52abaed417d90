"""Whether a judge judges itself.

Models prefer their own answers (arXiv 2306.05685), so this is refused unless it is said.

A selector that picks among a model's own samples (``gen_select``, ``usc``) is no judge in this sense: in both methods
the model that wrote the candidates is meant to choose.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

import dspy

from dspy_fusion.programs.errors import ConfigurationError
from dspy_fusion.serving.catalogue.model_entry import Price

from ..own_tasks.own_task import OwnRows, configured_task
from ..plans.strategies import JUDGES, Strategy
from ..tasks import Task


def is_same_model(one: dspy.BaseLM, other: dspy.BaseLM) -> bool:
    """Whether two names stand for one model at one address, whatever their sampling settings."""
    return (one.model, one.kwargs.get("api_base")) == (other.model, other.kwargs.get("api_base"))


def check_scorers(plan: Iterable[Strategy], lms: Mapping[str, dspy.BaseLM], *, allowed: bool) -> None:
    """Refuses strategies whose judge is one of the models whose answers it chooses from, or their fusor.

    Args:
        plan: the strategies.
        lms: their models by name.
        allowed: whether the user said that this may be.

    Raises:
        ConfigurationError: a judge would judge its own answers.
    """
    for strategy in plan:
        if allowed or strategy.scorer not in JUDGES:
            continue
        writers = (*strategy.models, strategy.fusor) if strategy.role in ("fuse", "control") else strategy.models
        for judge in strategy.judges:
            if own := next((name for name in writers if is_same_model(lms[name], lms[judge])), None):
                raise ConfigurationError(
                    f"strategy {strategy.name!r}: the judge {judge!r} would judge its own answers, as {own!r}; "
                    "name another model, or set judge_may_answer = true"
                )


class Grading(OwnRows, Protocol):
    """What configurations say of the task and its metric; see :class:`CompareConfig`."""

    @property
    def metric_judge(self) -> str: ...
    @property
    def judge_may_answer(self) -> bool: ...


def graded_task(config: Grading, judge: dspy.BaseLM | None) -> Task:
    """The task that a configuration names, with the judge that its metric needs.

    Raises ``ConfigurationError`` where it lacks one.
    """
    task = configured_task(config, judge)
    if task.needs_judge and judge is None:
        raise ConfigurationError(
            f'the metric of {task.name} asks a judge; name a model: metric_judge = "..." or --metric-judge'
        )
    return task


def metric_judge(config: Grading, models: Models, lms: Mapping[str, dspy.BaseLM]) -> dspy.BaseLM | None:
    """The model that grades.

    Refused where it is one of those that answer, under whatever name, unless that was asked for.
    """
    if not config.metric_judge:
        return None
    judge = models.lm(config.metric_judge)
    same = [name for name, lm in lms.items() if is_same_model(lm, judge)]
    if same and not config.judge_may_answer:
        raise ConfigurationError(
            f"metric_judge {config.metric_judge!r} would grade its own answers, as {same[0]!r} of this comparison; "
            "name another model, or set judge_may_answer = true"
        )
    return judge


class Models(Protocol):
    """Where models come from; the catalogue of ``serving`` is one."""

    def lm(self, name: str) -> dspy.BaseLM:
        """The model of a name, without DSPy's cache; ``ConfigurationError`` where there is none."""
        ...

    def price(self, name: str) -> Price:
        """What its tokens cost."""
        ...
