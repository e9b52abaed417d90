"""What a task is made of: data and a few functions, not a class to inherit from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dspy

from ..records import PartRecord


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
    """``(split, n)``: the first n examples of a split, always the same ones; each has a field ``id``."""
    metric: Callable[[dspy.Example, dspy.Prediction], float]
    """The score of an answer, in [0, 1]."""
    answer_text: Callable[[Mapping[str, Any]], str]
    """An answer's fields as one text, for reports."""
    comparable: bool
    """Whether two answers can be found equal by comparing them; a vote means little where they cannot."""
    parts: Callable[[dspy.Example, str, Sequence[str | None]], tuple[PartRecord, ...]] | None = None
    """``(example, answer, candidates)``: the answer part by part, with the candidates (None: failed) that give the same."""
    vote_parts: Callable[[Mapping[str, Any], Sequence[dspy.Prediction]], dict[str, Any]] | None = None
    """``(inputs, candidates)``: output fields in which every part is what most candidates give; the control for fusion."""
    right_lines: Callable[[str, str], list[bool]] | None = None
    """``(expected, answer)``: whether each line of an answer is right, for reports."""
