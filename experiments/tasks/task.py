"""What a task is made of: data and a few functions, not a class to inherit from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import dspy

from dspy_fusion.programs.errors import ConfigurationError

from ..records.record import PartRecord, Record
from ..rows.sources import Source


@dataclass(frozen=True)
class SetAside:
    """A row that is not asked, because its right answer cannot be read."""

    where: str
    """The file and line it stood at."""
    why: str
    """What is wrong with it."""


@dataclass(frozen=True)
class Setup:
    """What the user chose for a task; a task's file makes the task from it with ``make_task(setup)``."""

    data: str | Path | None = None
    """Local folder to read rows from; None takes that of ``DSPY_FUSION_DATA``, else the hub."""
    languages: tuple[str, ...] = ()
    """The languages to ask in, of a task that has several; empty takes all."""
    judge: dspy.BaseLM | None = None
    """The model that grades, for a task whose metric asks one."""

    def required_judge(self, task: str) -> dspy.BaseLM:
        """The judge; called by metrics that cannot do without.

        Raises:
            ConfigurationError: there is none.
        """
        if self.judge is None:
            raise ConfigurationError(
                f'the metric of {task} asks a judge; name a model, as in metric_judge = "openai/gpt-4o-mini"'
            )
        return self.judge


@dataclass(frozen=True)
class Task:
    """What is asked, of which examples, and how an answer is graded."""

    name: str
    """As the configuration and the records call it."""
    instructions: str
    """What the models are told."""
    program: Callable[[str], dspy.Module]
    """Makes the task program from instructions."""
    adapter: Callable[[], dspy.Adapter]
    """Makes the adapter that the task program runs under."""
    examples: Callable[[str, int], list[dspy.Example]]
    """``(split, n)``: the first n examples of a split (all, where it has fewer), always the same ones;
    each has a field ``id``.
    """
    metric: Callable[[dspy.Example, dspy.Prediction], float]
    """The score of an answer, in [0, 1]."""
    answer_text: Callable[[Mapping[str, Any]], str]
    """An answer's fields as one text, for reports; of an example's fields, the right answer."""
    comparable: bool
    """Whether two answers can be found equal by comparing them; a vote means little where they cannot."""
    source: Source
    """Where the examples come from."""
    splits: tuple[str, ...]
    """The names of the splits, the one that comparisons ask first."""
    instance: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    """The fields of one example, for documentation; made up where the licence is not ours to pass on."""
    group: Callable[[dspy.Example], str] = lambda example: ""
    """What an example belongs to, such as its language or subject; empty where the task has no groups."""
    aspects: Callable[[dspy.Example, dspy.Prediction], Mapping[str, float]] | None = None
    """Further scores of an answer by name, each in [0, 1], such as those of the task's other official metrics."""
    aspect_means: Callable[[Sequence[Record]], Mapping[str, float]] | None = None
    """From one strategy's records to its aspects, where they are not plain means over answers."""
    metrics: Mapping[str, Callable[[dspy.Example, dspy.Prediction], float]] = field(
        default_factory=lambda: MappingProxyType({})
    )
    """Metrics that may be chosen instead, by name."""
    needs_judge: bool = False
    """Whether the metric asks a judge, and cannot be computed without one."""
    vote_key: Callable[[Any], Any] | None = None
    """From the value of the last output field to what a vote compares; None leaves that to the vote."""
    set_aside: Callable[[str], tuple[SetAside, ...]] = lambda split: ()
    """The rows of a split that are not asked, because their right answer cannot be read."""
    parts: Callable[[dspy.Example, str, Sequence[str | None]], tuple[PartRecord, ...]] | None = None
    """``(example, answer, candidates)``: the answer part by part, with the candidates (None:
    failed) that give the same.
    """
    vote_parts: Callable[[Mapping[str, Any], Sequence[dspy.Prediction]], dict[str, Any]] | None = None
    """``(inputs, candidates)``: output fields in which every part is what most candidates give;
    the control for fusion.
    """
    visible_tests: Callable[[Mapping[str, Any]], Sequence[str]] | None = None
    """From an example's inputs to the tests that an answer may be chosen by, for tasks that ask for code."""
    right_lines: Callable[[str, str], list[bool]] | None = None
    """``(expected, answer)``: whether each line of an answer is right, for reports."""
