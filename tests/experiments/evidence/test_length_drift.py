from __future__ import annotations

from collections.abc import Callable

import pytest

from dspy_fusion.experiments.evidence.length_drift import length_drift, length_table
from dspy_fusion.experiments.records.record import CandidateRecord, Record

Make = Callable[..., Record]


def answer(record: Make, example: int, words: int, score: float, **rest: object) -> Record:
    candidates = (
        CandidateRecord("word " * 10, "m", 0.4),
        CandidateRecord("word " * 30, "m", 0.6),
        CandidateRecord(None, "m", 0.0),
    )
    return record("fusion", example, score, **{"answer": "word " * words, "candidates": candidates, **rest})


def test_length_is_divided_by_the_candidates_mean(record: Make) -> None:
    found = length_drift("fusion", [answer(record, i, 30, 0.5) for i in range(4)])
    assert found is not None
    assert (found.in_words.mean, found.in_characters.mean, found.characters, found.answers) == (1.5, 1.5, 150, 4)
    assert found.with_gain is None


def test_a_gain_that_goes_with_length_is_seen(record: Make) -> None:
    found = length_drift("fusion", [answer(record, i, 10 + i, i / 20) for i in range(20)])
    assert found is not None
    assert found.with_gain is not None
    assert (found.with_gain.mean, found.with_gain.low) == pytest.approx((1, 1), abs=0.01)
    assert length_table([found]).rows[0][-1].startswith("+1.00 [")


def test_failures_and_empty_answers_are_left_out(record: Make) -> None:
    broken = [answer(record, 8, 0, 0.0, answer=None, error="x"), answer(record, 9, 0, 0.0, answer="")]
    found = length_drift("fusion", [*broken, *(answer(record, i, 20, 0.5) for i in range(3))])
    assert found is not None
    assert (found.answers, found.in_words.mean) == (3, 1.0)


def test_nothing_to_measure_gives_nothing(record: Make) -> None:
    assert length_drift("fusion", [answer(record, 0, 5, 0.5, candidates=())]) is None
