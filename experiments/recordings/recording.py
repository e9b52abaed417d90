"""What was recorded: a question, and what each source answered.

The texts are data; nothing in them is ever executed or interpreted.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class RecordedCandidate:
    """One recorded answer.

    Raises:
        ValueError: a number is not what it should be; the message says which.
    """

    source: str
    """Who answered: a model, or a model and how it was asked."""
    text: str | None = None
    """The whole answer; None where only its correctness was recorded."""
    answer: str | None = None
    """What was read from the text as the answer that is compared; None where nothing was."""
    quality: float | None = None
    """By the data's own measure, in [0, 1], 1 for right; None where it is not known."""
    score: float | None = None
    """What a scorer said that does not know the right answer, such as a reward model: any finite number,
    higher is better.
    """
    logprob: float | None = None
    """Mean log-probability of the text's tokens."""
    family: str = ""
    """Sources that are likely to err together, such as those of one model; empty for the source itself."""
    draw: int = 0
    """Which of the source's answers to this question it is, from 0."""
    derived: bool = False
    """Whether it was made from other candidates (chosen, corrected or fused),
    so that it is none of the pool's proposals.
    """
    conflict: bool = False
    """Whether the recorded correctness contradicts the text, as the data say themselves."""
    outputs: Mapping[str, str] | None = None
    """The answer by a task's output fields, where it has several that text and answer do not tell apart."""
    tokens_in: int | None = None
    """Prompt tokens, where recorded."""
    tokens_out: int | None = None
    """Completion tokens, where recorded."""

    def __post_init__(self) -> None:
        """Checks what has a range."""
        if not self.source:
            raise ValueError("a candidate has no source")
        if self.quality is not None and not 0 <= self.quality <= 1:
            raise ValueError(f"the correctness of {self.source!r} is {self.quality}, which is not in [0, 1]")
        for name in ("score", "logprob"):
            value = getattr(self, name)
            if value is not None and not math.isfinite(value):
                raise ValueError(f"the {name} of {self.source!r} is {value}, which is no finite number")
        if self.text is None and self.answer is None and self.quality is None:
            raise ValueError(f"the candidate of {self.source!r} has neither a text nor an answer nor a correctness")

    @property
    def column(self) -> str:
        """The name of its place in a pool: the source, and which of its answers where that is not the first."""
        return f"{self.source}#{self.draw + 1}" if self.draw else self.source


@dataclass(frozen=True)
class RecordedQuestion:
    """A question with all answers to it."""

    id: str
    """Its name within the set."""
    text: str
    """What was asked, as a task's main input holds it."""
    candidates: tuple[RecordedCandidate, ...]
    """In the order in which they were recorded."""
    gold: str | None = None
    """The right answer, where there is one."""
    group: str = ""
    """What it belongs to, such as a language or a subject."""
    lost: tuple[str, ...] = ()
    """Why further candidates that were recorded cannot be used; this is told, and not kept."""


def to_payload(recorded: RecordedCandidate | RecordedQuestion) -> dict[str, Any]:
    """What is not a default, as plain data for ``type(recorded)(**payload)``; a question's candidates are left out."""
    fields = type(recorded).__dataclass_fields__
    values = {name: value for name, value in asdict(recorded).items() if name not in ("candidates", "lost")}
    return {name: value for name, value in values.items() if value != fields[name].default}
