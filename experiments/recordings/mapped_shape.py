"""Any other file of recorded answers, with columns named by the user.

Questions with candidates, one column a source, or one row an answer.

    {"question": "6 x 7?", "gold": "42", "candidates": [{"source": "m1", "text": "It is 42.", "pred": "42", "correct":
    true, "score": 0.9}]} {"question": "6 x 7?", "gold": "42", "m1": "It is 42.", "m2": "48"}
    with the columns m1 and m2 {"question": "6 x 7?", "gold": "42", "source": "m1", "text": "It is 42.", "pred": "42",
    "correct": true}

Only the question and the texts are needed. Candidates may also be a list of texts, or an object from sources to texts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dspy_fusion.programs.errors import ConfigurationError

from ..rows.row_files import Row
from .answer_keys import is_same
from .recording import RecordedCandidate, RecordedQuestion
from .values import an_object, digest_of, flag, number, optional_text, text_of, usable

QUESTION = ("id", "question", "gold", "group", "candidates")
"""What a row may have."""
CANDIDATE = ("source", "family", "text", "pred", "correct", "score", "logprob", "tokens_in", "tokens_out", "derived")
"""What a candidate may have: in the list of candidates, or in the row itself."""


class Mapped:
    """Reads rows whose columns the user named.

    Args:
        first: the first row.
        mapping: from the names of ``QUESTION`` and ``CANDIDATE`` to the file's own; what is not in it has the same name
            there.
        columns: the columns that hold the candidates' texts, each a source of its own; empty where candidates lie
            otherwise.
        score_range: lowest and highest possible score, where scores are the measure of quality, as with a judge's
            grades; None where they are what a scorer said and something else is the measure.

    Raises:
        ConfigurationError: a name is unknown, or the first row lacks a column.
    """

    def __init__(
        self,
        first: Row,
        mapping: Mapping[str, str],
        columns: tuple[str, ...] = (),
        score_range: tuple[float, float] | None = None,
    ) -> None:
        for name in mapping:
            if name not in (*QUESTION, *CANDIDATE):
                raise ConfigurationError(f"--map names {name!r}; there are: {', '.join((*QUESTION, *CANDIDATE))}")
        self.names = {name: mapping.get(name, name) for name in (*QUESTION, *CANDIDATE)}
        self.columns, self.score_range = columns, score_range
        if score_range is not None and not score_range[0] < score_range[1]:
            low, high = score_range
            raise ConfigurationError(f"a score range goes from a lower to a higher number, but got {low:g} to {high:g}")
        for needed in (self.names["question"], *columns):
            first.get(needed)
        if not columns and self.names["candidates"] not in first.values:
            first.get(self.names["text"])

    @classmethod
    def fits(cls, row: Row) -> bool:
        """Whether a row has the columns under the names that are not mapped."""
        return "question" in row.values and ("candidates" in row.values or "text" in row.values)

    def __call__(self, row: Row) -> RecordedQuestion:
        """The question of a row with its candidates, or with the one that the row is."""
        values = row.values
        text = text_of(values, self.names["question"])
        identity = optional_text(values, self.names["id"]) or digest_of(text)
        gold, group = (optional_text(values, self.names[name]) for name in ("gold", "group"))
        if self.columns:
            items = [{self.names["source"]: name, self.names["text"]: values[name]} for name in self.columns]
        elif self.names["candidates"] in values:
            items = self._listed(values[self.names["candidates"]])
        else:
            items = [values]
        places = enumerate(items, 1)
        candidates, lost = usable(places, lambda item: self._candidate(item[1], f"candidate {item[0]}", gold))
        return RecordedQuestion(identity, text, candidates, gold, group or "", lost)

    def _listed(self, given: Any) -> list[Any]:
        if isinstance(given, Mapping):
            named = ((source, self._item(value)) for source, value in given.items())
            return [{self.names["source"]: source, **item} if item is not None else None for source, item in named]
        if not isinstance(given, list):
            raise ValueError(f"its candidates are a {type(given).__name__}, neither a list nor an object")
        return [self._item(item) for item in given]

    def _item(self, value: Any) -> Any:
        """A candidate as an object; one that is a text, a number or a truth value is its text."""
        return {self.names["text"]: value} if isinstance(value, str | int | float) else value

    def _candidate(self, item: Any, name: str, gold: str | None) -> RecordedCandidate:
        item = an_object(item)
        known = {ours: theirs for ours, theirs in self.names.items() if item.get(theirs) is not None}
        tokens_in, tokens_out = (
            int(number(item, known[side])) if side in known else None for side in ("tokens_in", "tokens_out")
        )
        answer = optional_text(item, self.names["pred"])
        score = number(item, known["score"]) if "score" in known else None
        quality = flag(item, known["correct"]) if "correct" in known else self._quality(answer, gold, score)
        return RecordedCandidate(
            source=optional_text(item, self.names["source"]) or name,
            text=optional_text(item, self.names["text"]),
            answer=answer,
            quality=quality,
            score=None if self.score_range else score,
            logprob=number(item, known["logprob"]) if "logprob" in known else None,
            family=optional_text(item, self.names["family"]) or "",
            derived=bool(item.get(self.names["derived"])),
            tokens_in=tokens_in,
            tokens_out=tokens_out,
        )

    def _quality(self, answer: str | None, gold: str | None, score: float | None) -> float | None:
        """The place of a score in its range, else whether the answer is the right one, else nothing."""
        if self.score_range is not None and score is not None:
            low, high = self.score_range
            if not low <= score <= high:
                raise ValueError(f"the score {score:g} is not in the range {low:g} to {high:g}")
            return (score - low) / (high - low)
        return float(is_same(answer, gold)) if answer is not None and gold is not None else None
