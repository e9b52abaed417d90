from __future__ import annotations

import dspy
import pytest

from dspy_fusion.programs import Candidate, panel_agreement
from dspy_fusion.programs.scorers.panel_agreement import effective_votes


def pool(*judged: tuple[float | None, ...]) -> list[Candidate]:
    return [Candidate(i, dspy.Prediction(answer="a"), judged=row) for i, row in enumerate(judged)]


def test_judges_that_say_the_same_are_one_vote() -> None:
    found = panel_agreement([pool((0.1, 0.2, 0.1), (0.9, 1.0, 0.9)), pool((0.5, 0.6, 0.5))])
    assert (found.judges, found.contradictions) == (3, 0)
    assert found.effective_votes == pytest.approx(1)


def test_judges_that_are_unrelated_are_all_their_votes() -> None:
    found = panel_agreement([pool((0, 0), (0, 1), (1, 0), (1, 1))])
    assert found.correlation == pytest.approx(0)
    assert found.effective_votes == 2
    assert found.contradictions == 0.5


def test_nine_judges_that_err_alike_are_about_two() -> None:
    assert effective_votes(9, 0.44) == pytest.approx(2, abs=0.02)
    assert effective_votes(9, -0.5) == 9


def test_where_nothing_varies_nothing_is_claimed() -> None:
    found = panel_agreement([pool((1.0, 1.0), (1.0, None))])
    assert (found.contradictions, found.correlation, found.effective_votes) == (None, None, None)


def test_pools_that_no_panel_judged_are_left_out() -> None:
    assert panel_agreement([[Candidate(0, dspy.Prediction(answer="a"))]]).judges == 0
