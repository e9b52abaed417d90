"""Readers of the published files of recorded candidates: from one row to its question.

What a row lacks raises and sets it aside.

Only ``refine_chain`` reads answers out of texts itself, by the line that its prompt asks for; everything else is taken
as recorded.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dspy_fusion.programs.errors import ConfigurationError

from ..rows.row_files import SUFFIXES, Row, read_file
from .recording import RecordedCandidate, RecordedQuestion
from .values import an_object, digest_of, flag, item_of, items_of, number, optional_text, text_of, usable

_OTHERS = ("prompt", "language_code", "input_hash", "BoN", "Fusion")
MADE = ("BoN", "Fusion")
"""The columns that were made from the teachers' completions, each with a reward model's score."""


def fusion_synth(row: Row) -> RecordedQuestion:
    """The question of a row. The best of N is one of the completions, so its score is that teacher's too."""
    made = {name: item_of(row.values, name, Mapping) for name in MADE}
    best, best_score = optional_text(made["BoN"], "completion"), number(made["BoN"], "score")
    candidates = []
    for name in _teachers(row.values, made):
        text, score = _completion(row.values[name])
        if text is not None:
            candidates.append(
                RecordedCandidate(name, text, score=best_score if score is None and text == best else score)
            )
    if not candidates:
        raise ValueError("it has no teacher's completion")
    candidates += [
        RecordedCandidate(name, text_of(item, "completion"), score=number(item, "score"), derived=True)
        for name, item in made.items()
    ]
    language = text_of(row.values, "language_code")
    identity = f"{text_of(row.values, 'input_hash')}/{language}"
    return RecordedQuestion(identity, text_of(row.values, "prompt"), tuple(candidates), group=language)


def _teachers(values: Mapping[str, Any], made: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The columns that ``teachers`` names, or else all others that hold a completion."""
    listed = [item.get("teachers") for item in made.values()]
    named = dict.fromkeys(str(name) for names in listed if isinstance(names, list) for name in names)
    return [name for name in named if name in values] or [name for name in values if name not in _OTHERS]


def _completion(value: Any) -> tuple[str | None, float | None]:
    if isinstance(value, Mapping):
        return optional_text(value, "completion"), None if value.get("score") is None else number(value, "score")
    return (value if isinstance(value, str) and value else None), None


_QUESTIONS = "question"


class MtBench:
    """Reads rows of ``question_id`` and ``answers`` (model to the texts of its turns).

    Args:
        path: the file; ``question.jsonl`` is looked for in its folder.

    Raises:
        ConfigurationError: that file is not there.
    """

    def __init__(self, path: Path) -> None:
        beside = [path.parent / f"{_QUESTIONS}{suffix}" for suffix in SUFFIXES]
        found = next((file for file in beside if file.is_file()), None)
        if found is None:
            raise ConfigurationError(
                f"{path.parent} lacks {beside[0].name}, which holds the questions to the answers in {path.name}"
            )
        self.questions = {str(row.get("question_id")): row for row in read_file(found)}

    def __call__(self, row: Row) -> tuple[RecordedQuestion, ...]:
        """The question of a row, by its first turn.

        An answer is both of a model's turns, the second asked after its own first.
        """
        identity, answers = text_of(row.values, "question_id"), item_of(row.values, "answers", Mapping)
        if identity not in self.questions:
            raise ValueError(f"there is no question {identity!r} in {_QUESTIONS}")
        asked = self.questions[identity].values
        turns = item_of(asked, "turns", list)
        if not turns:
            raise ValueError("it has no turns")
        candidates, lost = usable(answers.items(), lambda answer: _candidate(*answer))
        category = text_of(asked, "category")
        return (RecordedQuestion(identity, str(turns[0]), candidates, group=category, lost=lost),)


def _candidate(model: str, texts: Any) -> RecordedCandidate:
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        raise ValueError(f"the answers of {model!r} are no list of texts")
    outputs = {f"answer_{turn}": text for turn, text in enumerate(texts, 1)}
    return RecordedCandidate(model, "\n\n".join(texts), outputs=outputs)


_LETTER = re.compile(r"Answer:\s*\W*([A-J])\b")
_ARENA_SCORES = (1, 10)
_WMT_DERIVED = ("sc_corrected", "bon5", "usi5_fusion", "trank5")


def gsm8k_pool(row: Row) -> RecordedQuestion:
    """Recorded solutions of GSM8K questions, each with the number read from it and whether it is right."""

    def read(item: Any) -> RecordedCandidate:
        """One recorded candidate of the file."""
        return RecordedCandidate(
            text_of(an_object(item), "src"),
            optional_text(item, "text"),
            optional_text(item, "pred"),
            quality=flag(item, "correct"),
            family=optional_text(item, "family") or "",
            conflict=bool(item.get("flag_conflict")),
        )

    candidates = usable(items_of(row.values, "candidates"), read)
    return _question(row, "qid", text_of(row.values, "question"), candidates, gold=text_of(row.values, "gold"))


def m_ifeval_pool(row: Row) -> RecordedQuestion:
    """Responses to IFEval prompts; right is where every instruction is followed by the strict rules."""

    def read(item: Any) -> RecordedCandidate:
        response = optional_text(an_object(item), "response")
        return RecordedCandidate(text_of(item, "model"), response, quality=_all(item, "strict"))

    candidates = usable(items_of(row.values, "candidates"), read)
    return _question(row, "id", text_of(row.values, "prompt"), candidates, group=text_of(row.values, "lang"))


def arena_bench(row: Row) -> RecordedQuestion:
    """Answers to open prompts that GPT-4 scored from 1 to 10 against a reference; the score is the quality."""
    low, high = _ARENA_SCORES

    def read(item: Any) -> RecordedCandidate:
        quality = (number(an_object(item), "score") - low) / (high - low)
        return RecordedCandidate(text_of(item, "model"), optional_text(item, "answer"), quality=quality)

    candidates = usable(items_of(row.values, "candidates"), read)
    return _question(
        row, "question_id", text_of(row.values, "prompt"), candidates, gold=optional_text(row.values, "reference_gpt4")
    )


def wmt_methods(row: Row) -> RecordedQuestion:
    """One model's translations by several test-time methods; the pools they were made from were not recorded."""
    methods = [name for name in ("default", "sc_draft", *_WMT_DERIVED) if optional_text(row.values, name)]
    candidates = [RecordedCandidate(name, text_of(row.values, name), derived=name in _WMT_DERIVED) for name in methods]
    source, group = text_of(row.values, "src"), text_of(row.values, "lang")
    return _question(row, "id", source, (candidates, ()), gold=optional_text(row.values, "ref"), group=group)


def mmlu_flags(row: Row) -> RecordedQuestion:
    """Whether each of some models is right; what they answered was not recorded."""
    names = [name for name in row.values if name.endswith("_correct")]
    candidates = [RecordedCandidate(name.removesuffix("_correct"), quality=flag(row.values, name)) for name in names]
    if not candidates:
        raise ValueError("it has no column that ends in _correct, so it holds no recorded candidates")
    subject = text_of(row.values, "subject")
    gold, place = text_of(row.values, "answer"), text_of(row.values, "i")
    return RecordedQuestion(
        f"{subject}/{place}", text_of(row.values, "question"), tuple(candidates), gold=gold, group=subject
    )


def refine_chain(row: Row, group: str) -> RecordedQuestion:
    """Successive refinements of one answer to a multiple-choice question.

    The letter is that of the last line like ``Answer: B``.
    """
    gold, prompt = text_of(row.values, "answer"), text_of(row.values, "prompt")
    candidates = []
    for step, text in enumerate(item_of(row.values, "predictions", list), 1):
        letters = _LETTER.findall(str(text))
        letter = letters[-1] if letters else None
        candidates.append(
            RecordedCandidate(f"step {step}", str(text), letter, quality=float(letter == gold), family="chain")
        )
    return RecordedQuestion(digest_of(prompt), prompt, tuple(candidates), gold=gold, group=group)


def _question(
    row: Row,
    name: str,
    text: str,
    candidates: tuple[Sequence[RecordedCandidate], tuple[str, ...]],
    *,
    gold: str | None = None,
    group: str = "",
) -> RecordedQuestion:
    """The question of a row, with the candidates that can be used and why the others cannot."""
    usable_ones, lost = candidates
    return RecordedQuestion(text_of(row.values, name), text, tuple(usable_ones), gold, group, lost)


def _all(item: Mapping[str, Any], name: str) -> float:
    flags = item_of(item, name, list)
    if not flags or not all(isinstance(value, bool) for value in flags):
        raise ValueError(f"{name!r} is {flags!r}, which is no list of true and false")
    return float(all(flags))
