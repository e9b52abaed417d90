"""From rows to training rows.

What a model is shown and what it should say, in the one format that fine-tuning, analyses and TRL read, or for
LLaMA-Factory.

``sft``: the teachers' system text where they had one, the prompt, the answer. ``aft``: a system text that is the
aggregation prompt with the proposals, made by the adapter that speaks to aggregators at inference. ``preference``: a
prompt, the better answer and the worse one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import dspy

from dspy_fusion.optimizers.finetuning import TrainingRow
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
        reader: ``trl``, which reads what :class:`TrainingRow` writes, or ``llama-factory``, for which conversations are
            ``messages`` and pairs are texts.
    """

    format: str
    answer: str = "auto"
    pairs: str = "auto"
    instructions: str = AGGREGATE
    system: str = ""
    reader: str = "trl"

    def __post_init__(self) -> None:
        """Refuses names that are none."""
        for name, value, known in (
            ("format", self.format, FORMATS),
            ("answer", self.answer, ANSWERS),
            ("pairs", self.pairs, PAIRS),
            ("reader", self.reader, READERS),
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

    def rows(self, row: Row) -> Iterator[TrainingRow]:
        """The training rows of a row that was kept; none where it has not what they need."""
        return _MAKERS[self.format](self, row)

    def examples(self, row: Row) -> Iterator[dict[str, Any]]:
        """The same as the reader takes them."""
        write = _for_llama_factory if self.reader == "llama-factory" else TrainingRow.as_messages
        return (write(made) for made in self.rows(row))


def _for_llama_factory(row: TrainingRow) -> dict[str, Any]:
    if not row.rejected:
        return {"messages": [*row.prompt, _message("assistant", row.completion)]}
    system = "".join(message["content"] for message in row.prompt if message["role"] == "system")
    pair = {"prompt": row.asked, "chosen": row.completion, "rejected": row.rejected}
    return {"system": system, **pair} if system else pair


def _sft(shape: Shape, row: Row) -> Iterator[TrainingRow]:
    answer = {"auto": row.answer, "fused": row.fused and row.fused.text, "best": _best(row)}[shape.answer]
    if answer:
        yield TrainingRow(_asked(shape.system, row), answer)


def _aft(shape: Shape, row: Row) -> Iterator[TrainingRow]:
    if row.fused is None or not row.fused.text:
        return
    texts = [_shown(row.candidates[place].text or "") for place in row.fused.shown]
    inputs = fusor_inputs(TASK, TASK.instructions, {PROMPT: row.prompt}, texts)
    messages = _ADAPTER.format(fusor_signature(TASK, shape.instructions), [], inputs)
    yield TrainingRow(tuple(messages), row.fused.text, len(texts))


def _preference(shape: Shape, row: Row) -> Iterator[TrainingRow]:
    pairs: dict[tuple[str, str], None] = {}
    texts = [candidate.text for candidate in row.candidates if candidate.text]
    if shape.pairs != "best" and row.fused is not None and row.fused.text:
        pairs |= dict.fromkeys((row.fused.text, text) for text in texts if text.strip() != row.fused.text.strip())
    best, worst = _best(row), _worst(row)
    if shape.pairs != "fused" and best and worst and best.strip() != worst.strip():
        pairs[best, worst] = None
    for chosen, rejected in pairs:
        yield TrainingRow(_asked(shape.system, row), chosen, rejected=rejected)


def _asked(system: str, row: Row) -> tuple[dict[str, str], ...]:
    return (*([_message("system", system)] if system else []), _message("user", row.prompt))


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


_MAKERS: dict[str, Callable[[Shape, Row], Iterator[TrainingRow]]] = {
    "sft": _sft,
    "aft": _aft,
    "preference": _preference,
}
FORMATS = tuple(_MAKERS)
"""What ``format`` may be."""
READERS = ("trl", "llama-factory")
"""What ``reader`` may be."""
