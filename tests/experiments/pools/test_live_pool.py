"""Small pools drawn now: graded, compared and counted like recorded ones."""

from __future__ import annotations

import importlib
from dataclasses import replace
from typing import Any

import pytest

from dspy_fusion.experiments.diagnoses.live_pool import Drawing, LivePool, draw_pool
from dspy_fusion.experiments.pools.recorded_pool import RecordedPool
from dspy_fusion.experiments.tasks import load_task
from dspy_fusion.programs import CandidateBank, QuorumNotMet
from dspy_fusion.programs.errors import ConfigurationError, ScorerError

ScriptedLM = importlib.import_module("conftest").ScriptedLM


@pytest.fixture
def drawing(url: str) -> Drawing:
    """Two models of worksheets: one that answers the first sum, and one that fails."""

    def fail(request: Any) -> str:
        raise TimeoutError("too slow")

    task = load_task("worksheets")
    lms = {"good": ScriptedLM(lambda request: "(a) 1 + 1 = 2"), "bad": ScriptedLM(fail, name="scripted/bad")}
    return Drawing(task, task.instructions, ("good", "bad"), lms, 4, 1.0, CandidateBank(url), 2)


def drawn(drawing: Drawing, count: int = 2) -> LivePool:
    seen: list[None] = []
    found = draw_pool(drawing, drawing.task.examples("test", count), lambda: seen.append(None))
    assert len(seen) == count
    return found


def test_candidates_keep_their_model_and_place(drawing: Drawing) -> None:
    found = drawn(drawing)
    assert [[c.column for c in question.candidates] for question in found.questions] == [["good", "good#2"]] * 2
    assert all(
        c.tokens_out == 3 and c.answer == "(a) 1 + 1 = 2" for question in found.questions for c in question.candidates
    )


def test_failures_are_counted_and_score_nothing(drawing: Drawing) -> None:
    found = drawn(drawing)
    assert len(found.failures) == 4
    assert "too slow" in found.failures[0]
    assert not RecordedPool.of("pool", found.questions).quality.any()


def test_parts_are_voted_on_and_taken_from_whoever_has_them(drawing: Drawing) -> None:
    first = drawing.task.examples("test", 1)[0]
    lms = {
        "good": ScriptedLM(lambda request: first.answers),
        "bad": ScriptedLM(lambda request: "", name="scripted/empty"),
    }
    found = drawn(replace(drawing, lms=lms), 1)
    assert found.parts is not None
    assert (found.parts.vote, found.parts.best) == (1.0, 1.0)


def test_nothing_answered_is_an_error_with_its_cause(drawing: Drawing) -> None:
    with pytest.raises(QuorumNotMet, match=r"no model answered any of 2 examples; the first cause:\n.*too slow"):
        draw_pool(replace(drawing, models=("bad",)), drawing.task.examples("test", 2), lambda: None)


def test_an_answer_that_cannot_be_graded_is_left_open(drawing: Drawing) -> None:
    def grade(example: Any, prediction: Any) -> float:
        raise ScorerError("the judge said nothing")

    found = drawn(replace(drawing, models=("good",), task=replace(drawing.task, metric=grade, parts=None)))
    assert [c.quality for question in found.questions for c in question.candidates] == [None] * 8


def test_a_metric_that_cannot_be_used_stops_at_once(drawing: Drawing) -> None:
    def grade(example: Any, prediction: Any) -> float:
        raise ConfigurationError("no judge")

    with pytest.raises(ConfigurationError, match="no judge"):
        drawn(replace(drawing, task=replace(drawing.task, metric=grade)))
