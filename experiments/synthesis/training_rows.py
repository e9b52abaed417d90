"""From rows to training examples: what a model is shown and what it should say,
in the shapes that TRL and LLaMA-Factory read as they are.

``sft``: ``messages`` (the teachers' system text where they had one, the prompt, the answer). ``aft``: ``messages`` too,
whose system text is the aggregation prompt with the proposals, made by the adapter that speaks to aggregators at
inference.
``preference``: ``prompt``, ``chosen`` and ``rejected`` as texts, or for TRL alone as lists of messages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import dspy

from dspy_fusion.programs.errors import ConfigurationError
from dspy_fusion.programs.tasks.instructions import AGGREGATE
from dspy_fusion.programs.tasks.plain_adapter import PlainAdapter
from dspy_fusion.programs.tasks.signatures import candidate_text, fusor_signature
from dspy_fusion.programs.tasks.task_text import fusor_inputs

from .program import PROMPT, RESPONSE, TASK
from .synthesis_config import SynthesisConfig
from .synthesized_rows import Row

ANSWERS = ("auto", "fused", "best")
PAIRS = ("auto", "fused", "best", "both")
_ADAPTER = PlainAdapter()


@dataclass(frozen=True)
class Shape:
    """What examples are made of rows.

    Attributes:
        format: ``sft``, ``aft`` or ``preference``.
        answer: which answer ``sft`` teaches: ``fused``, ``best``, or ``auto`` for the row's own.
        pairs: which pairs ``preference`` has: ``fused`` over every candidate that says something else, ``best`` over
            worst, ``both``, or ``auto`` for those that the synthesis allows.
        instructions: what ``aft`` tells the aggregator.
        system: system text of ``sft`` and ``preference``; empty for none.
        as_messages: whether ``preference`` has lists of messages instead of texts, which TRL then puts into the model's
            chat template.
    """

    format: str
    answer: str = "auto"
    pairs: str = "auto"
    instructions: str = AGGREGATE
    system: str = ""
    as_messages: bool = False

    def __post_init__(self) -> None:
        """Refuses names that are none."""
        for name, value, known in (
            ("format", self.format, FORMATS),
            ("answer", self.answer, ANSWERS),
            ("pairs", self.pairs, PAIRS),
        ):
            if value not in known:
                raise ConfigurationError(f"{name} must be one of {', '.join(known)}, but got {name}={value!r}")

    def check(self, config: SynthesisConfig) -> None:
        """Refuses what the rows of a synthesis cannot give."""
        wanted = {"sft": self.answer, "aft": "fused", "preference": self.pairs}[self.format]
        if config.fusion is None and wanted in ("fused", "both"):
            raise ConfigurationError(
                f"the rows have no fused answers, which {self.format} needs here; synthesize with [fusion]"
            )
        if config.best is None and wanted in ("best", "both"):
            raise ConfigurationError(f"the rows have no scores, which {self.format} needs here; synthesize with [best]")
        if self.format == "preference" and config.best is None and config.fusion is None:
            raise ConfigurationError(
                "the rows have neither scores nor fused answers to prefer; synthesize with [best] or [fusion]"
            )

    def examples(self, row: Row) -> Iterator[dict[str, Any]]:
        """The examples of a row that was kept; none where the row has not what they need."""
        return _MAKERS[self.format](self, row)


def _sft(shape: Shape, row: Row) -> Iterator[dict[str, Any]]:
    answer = {"auto": row.answer, "fused": row.fused and row.fused.text, "best": _best(row)}[shape.answer]
    if answer:
        yield {"messages": [*_asked(shape.system, row), _message("assistant", answer)]}


def _aft(shape: Shape, row: Row) -> Iterator[dict[str, Any]]:
    if row.fused is None or not row.fused.text:
        return
    texts = [_shown(row.candidates[place].text or "") for place in row.fused.shown]
    inputs = fusor_inputs(TASK, TASK.instructions, {PROMPT: row.prompt}, texts)
    messages = _ADAPTER.format(fusor_signature(TASK, shape.instructions), [], inputs)
    yield {"messages": [*messages, _message("assistant", row.fused.text)]}


def _preference(shape: Shape, row: Row) -> Iterator[dict[str, Any]]:
    pairs: dict[tuple[str, str], None] = {}
    texts = [candidate.text for candidate in row.candidates if candidate.text]
    if shape.pairs != "best" and row.fused is not None and row.fused.text:
        pairs |= dict.fromkeys((row.fused.text, text) for text in texts if text.strip() != row.fused.text.strip())
    best, worst = _best(row), _worst(row)
    if shape.pairs != "fused" and best and worst and best.strip() != worst.strip():
        pairs[best, worst] = None
    for chosen, rejected in pairs:
        yield _pair(shape, row, chosen, rejected)


def _pair(shape: Shape, row: Row, chosen: str, rejected: str) -> dict[str, Any]:
    if shape.as_messages:
        answers = {"chosen": [_message("assistant", chosen)], "rejected": [_message("assistant", rejected)]}
        return {"prompt": _asked(shape.system, row), **answers}
    pair = {"prompt": row.prompt, "chosen": chosen, "rejected": rejected}
    return {"system": shape.system, **pair} if shape.system else pair


def _asked(system: str, row: Row) -> list[dict[str, str]]:
    return [*([_message("system", system)] if system else []), _message("user", row.prompt)]


def _best(row: Row) -> str | None:
    return None if row.best is None else row.candidates[row.best].text


def _worst(row: Row) -> str | None:
    """The candidate with the lowest score, where it is lower than the best one's; the last of equals."""
    scored = [candidate for candidate in row.candidates if candidate.text and candidate.score is not None]
    worst = min(reversed(scored), key=lambda candidate: candidate.score or 0.0, default=None)
    best = None if row.best is None else row.candidates[row.best].score
    return worst.text if worst is not None and best is not None and (worst.score or 0.0) < best else None


def _shown(text: str) -> str:
    return candidate_text(TASK, dspy.Prediction(**{RESPONSE: text}))


def _message(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


_MAKERS: dict[str, Callable[[Shape, Row], Iterator[dict[str, Any]]]] = {
    "sft": _sft,
    "aft": _aft,
    "preference": _preference,
}
FORMATS = tuple(_MAKERS)
"""What ``format`` may be."""
