from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dspy
import pytest
from conftest import ScriptedLM
from tuning_problem import EXAMPLES, answer, exact, program

from dspy_fusion.optimizers import Budget, MetricError, tokens
from dspy_fusion.optimizers.tuning.scores.budget import Ledger
from dspy_fusion.optimizers.tuning.scores.objective import Objective
from dspy_fusion.optimizers.tuning.scores.study_store import StudyStore
from dspy_fusion.programs import CandidateBank, ConfigurationError, Fusion, Usage

Make = Callable[..., Objective]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def made(metric: Any = exact) -> Objective:
        store, bank = (
            StudyStore(f"sqlite:///{tmp_path / 's.db'}", "s"),
            CandidateBank(f"sqlite:///{tmp_path / 'bank.db'}"),
        )
        ledger = Ledger(Budget(), Usage(), 0)
        return Objective(metric, price=tokens, store=store, bank=bank, ledger=ledger, num_threads=2, failure_score=0.0)

    dspy.configure(lm=ScriptedLM(answer))
    return made


def test_outcomes_come_in_the_order_of_the_examples(make: Make) -> None:
    objective = make()
    outcomes = objective.outcomes(program(), "p", EXAMPLES[:5])
    assert [outcome.example for outcome in outcomes] == objective.keys(EXAMPLES[:5])


def test_what_is_known_is_not_done_again(make: Make) -> None:
    seen: list[str] = []
    objective = make(lambda example, prediction: not seen.append(example.question))
    objective.outcomes(program(), "p", EXAMPLES[:3])
    objective.outcomes(program(), "p", EXAMPLES[:5])
    assert sorted(seen) == [f"q{i}" for i in range(5)]


def test_a_larger_pool_costs_only_what_is_new(make: Make) -> None:
    objective = make()
    (small,), (large,) = (objective.outcomes(program(n), str(n), EXAMPLES[:1]) for n in (2, 3))
    assert (small.spent.calls, large.spent.calls) == (3, 2)
    assert (large.usage.calls, large.cost) == (4, 4 * 13)


@pytest.mark.parametrize(
    ("metric", "score", "feedback"),
    [
        (lambda example, prediction: 1, 1.0, ""),
        (lambda example, prediction: True, 1.0, ""),
        (lambda example, prediction, trace: 0.25, 0.25, ""),
        (lambda gold, pred, trace, pred_name, pred_trace: 0.5, 0.5, ""),
        (lambda example, prediction: dspy.Prediction(score=0.5, feedback="half"), 0.5, "half"),
    ],
)
def test_metrics_of_dspy_and_gepa_are_taken(make: Make, metric: Any, score: float, feedback: str) -> None:
    (outcome,) = make(metric).outcomes(program(), "p", EXAMPLES[:1])
    assert (outcome.score, outcome.feedback) == (score, feedback)


@pytest.mark.parametrize("value", [None, math.nan, math.inf, "good", dspy.Prediction(feedback="no score")])
def test_a_metric_without_a_number_is_an_error(make: Make, value: Any) -> None:
    with pytest.raises(MetricError, match=r"the metric returned .*; return a finite number"):
        make(lambda example, prediction: value).outcomes(program(), "p", EXAMPLES[:1])


def test_a_metric_that_raises_is_an_error_with_its_cause_and_its_calls_count(make: Make) -> None:
    objective = make(lambda example, prediction: prediction.missing)
    with pytest.raises(MetricError, match=r"the metric raised AttributeError.*missing"):
        objective.outcomes(program(), "p", EXAMPLES[:1])
    assert objective.store.totals().spent.calls == 2


def test_a_failed_example_gets_the_failure_score_and_its_cause(make: Make) -> None:
    def broken(request: Any) -> Any:
        raise ValueError("the server is down")

    dspy.configure(lm=ScriptedLM(broken))
    (outcome,) = make().outcomes(program(), "p", EXAMPLES[:1])
    assert outcome.score == 0.0
    assert "the server is down" in (outcome.error or "")


def test_the_candidates_are_kept_for_reflection(make: Make) -> None:
    (outcome,) = make().outcomes(Fusion(dspy.Predict("question -> answer"), n=3), "p", EXAMPLES[:1])
    assert len(outcome.candidates) == 3


def test_nothing_more_begins_once_an_example_has_failed_for_good(make: Make) -> None:
    refused, begun = threading.Event(), []

    class Refuses(dspy.Module):
        def forward(self, question: str) -> dspy.Prediction:
            begun.append(question)
            if threading.current_thread() is not threading.main_thread():
                refused.set()
                raise ConfigurationError("it cannot work")
            refused.wait(timeout=30)
            time.sleep(0.5)  # until the other thread has handed on what went wrong
            return dspy.Prediction(answer="a")

    with pytest.raises(ConfigurationError, match="it cannot work"):
        make().outcomes(Refuses(), "p", EXAMPLES)
    assert len(begun) < len(EXAMPLES)
