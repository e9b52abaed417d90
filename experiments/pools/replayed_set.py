"""A recorded set as programs ask it.

From a task's inputs to the recorded question, and from a recorded answer to the output fields.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Mapping, Sequence
from typing import Any

import dspy

from dspy_fusion.programs import Candidate, Usage
from dspy_fusion.programs.calls.attempts import Attempt, describe
from dspy_fusion.programs.pools.selection import normalized
from dspy_fusion.programs.tasks.signatures import typed

from ..recordings.recording import RecordedCandidate, RecordedQuestion, to_payload


class NotRecorded(LookupError):
    """There is no recorded answer; becomes the error of the candidate."""


class ReplayedSet:
    """The questions of a set by what was asked.

    Args:
        questions: with their candidates.
    """

    def __init__(self, questions: Sequence[RecordedQuestion]) -> None:
        self.columns = tuple(
            dict.fromkeys(c.column for question in questions for c in question.candidates if not c.derived)
        )
        self.made = tuple(dict.fromkeys(c.column for question in questions for c in question.candidates if c.derived))
        self._by_text: dict[Any, list[RecordedQuestion]] = {}
        for question in questions:
            self._by_text.setdefault(normalized(question.text), []).append(question)
        lines = [json.dumps([to_payload(q), *map(to_payload, q.candidates)], sort_keys=True) for q in questions]
        self.digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]

    def question(self, inputs: Mapping[str, Any], aliases: Mapping[str, str]) -> RecordedQuestion:
        """The recorded question that is one of the inputs.

        Where several have its text, the one whose group is another input.

        Args:
            inputs: of the task.
            aliases: other names of groups, such as those of languages by their codes.

        Raises:
            NotRecorded: there is none, or there are several.
        """
        texts = [value for value in inputs.values() if isinstance(value, str)]
        matches = [question for text in texts for question in self._by_text.get(normalized(text), ())]
        if len(matches) > 1:
            said = {normalized(text) for text in texts}
            matches = [
                q for q in matches if said & {normalized(q.group), normalized(aliases.get(q.group, q.group))}
            ] or matches
        if len(matches) == 1:
            return matches[0]
        excerpt = next(iter(texts), "")[:60]
        raise NotRecorded(
            f"{len(matches)} recorded questions are {excerpt!r}"
            if matches
            else f"the question {excerpt!r} was not recorded"
        )


def picked(question: RecordedQuestion, column: str, attempt: Attempt) -> RecordedCandidate:
    """The recorded answer that an attempt gets.

    A column's, or the one of its index in a seeded order of all not made from others.

    Raises:
        NotRecorded: there is none.
    """
    if column:
        for candidate in question.candidates:
            if candidate.column == column:
                return candidate
        raise NotRecorded(f"{column!r} has no recorded answer to question {question.id!r}")
    order = [candidate for candidate in question.candidates if not candidate.derived]
    random.Random(f"{attempt.seed} {question.id}").shuffle(order)
    if attempt.index >= len(order):
        raise NotRecorded(
            f"question {question.id!r} has {len(order)} recorded answers, fewer than candidate {attempt.index} needs"
        )
    return order[attempt.index]


def answered(attempt: Attempt, name: str, recorded: RecordedCandidate) -> Candidate:
    """The candidate of an attempt with a recorded answer; its tokens are those that were recorded."""
    usage = Usage(1, recorded.tokens_in or 0, recorded.tokens_out or 0)
    common: dict[str, Any] = {
        "lm": name,
        "layer": attempt.layer,
        "usage": usage,
        "by_model": {name: usage},
        "replayed": True,
    }
    try:
        prediction = dspy.Prediction(**typed(attempt.signature, _outputs(attempt.signature, recorded)))
    except ValueError as error:
        return Candidate(attempt.index, None, describe(error), **common)
    trace = tuple((predictor, dict(attempt.inputs), prediction) for predictor in attempt.module.predictors()[:1])
    return Candidate(attempt.index, prediction, logprob=recorded.logprob, trace=trace, **common)


def _outputs(task: type[dspy.Signature], recorded: RecordedCandidate) -> dict[str, Any]:
    """The answer goes to the last field, where it was read from the text, and the text to those before it.

    A single text is given whole.
    """
    names = list(task.output_fields)
    if recorded.outputs is not None and set(names) <= recorded.outputs.keys():
        return {name: recorded.outputs[name] for name in names}
    text = recorded.answer if recorded.text is None else recorded.text
    only_text = len(names) == 1 and task.output_fields[names[0]].annotation is str
    last = text if only_text or recorded.answer is None else recorded.answer
    if text is None or last is None:
        raise ValueError(f"{recorded.source!r} has neither a text nor an answer, only whether it was right")
    return {
        **{name: text if task.output_fields[name].annotation is str else None for name in names[:-1]},
        names[-1]: last,
    }
