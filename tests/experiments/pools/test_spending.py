from __future__ import annotations

import pytest

from dspy_fusion.experiments.diagnoses.spending import (
    VERDICT_TOKENS,
    Rates,
    Spending,
    comparison_spending,
    rates_of,
    spent_on,
    study_spending,
)
from dspy_fusion.experiments.plans.comparison_config import CompareConfig, StrategyConfig
from dspy_fusion.experiments.plans.strategies import planned
from dspy_fusion.experiments.recordings.recording import RecordedCandidate, RecordedQuestion
from dspy_fusion.serving.catalogue.model_entry import Price

RATES = Rates({"a": 10, "b": 20}, {"a": 100, "b": 200}, {"a": Price(1.0, 2.0)})


def spent(*strategies: StrategyConfig, n: int = 4) -> Spending:
    return comparison_spending(planned(CompareConfig("worksheets", strategies, pools={"ab": ("a", "b")}, n=n)), RATES)


def test_strategies_with_the_same_pool_draw_it_once() -> None:
    pool = [StrategyConfig(name, name, "ab") for name in ("vote", "oracle")]
    assert spent(*pool) == spent(pool[0]) == Spending(4, 60, 600, 2 * (10 * 1 + 100 * 2) / 1e6)


def test_a_fusor_reads_the_question_and_every_candidate() -> None:
    fused = spent(StrategyConfig("fusion", "fusion", "ab", fusor="a"))
    assert fused.calls == 4 + 1
    assert fused.tokens_in == 60 + 10 + 4 * 150
    assert fused.tokens_out == 600 + 100


@pytest.mark.parametrize(("depth", "calls"), [(0, 0), (1, 1), (2, 5), (3, 9)])
def test_every_layer_of_aggregation_is_counted(depth: int, calls: int) -> None:
    made = spent(StrategyConfig("p", "propose_aggregate", "ab", fusor="a", options={"depth": depth}))
    assert made.calls == 4 + calls


def test_verdicts_are_counted_by_candidate_and_by_pair() -> None:
    judged = spent(StrategyConfig("j", "best_of_n", "ab", scorer="judge", judge="b"))
    paired = spent(StrategyConfig("p", "best_of_n", "ab", scorer="pairwise", judge="b"))
    assert (judged.calls, paired.calls) == (4 + 4, 4 + 12)
    assert judged.tokens_out == 600 + 4 * VERDICT_TOKENS


def test_points_of_a_curve_fuse_again_but_draw_nothing_more() -> None:
    assert spent(StrategyConfig("fusion", "fusion", "ab", fusor="a", every_n=True)).calls == 4 + 4


def test_recorded_candidates_cost_nothing() -> None:
    assert RATES.draw("recorded/set/a") == Spending()
    config = CompareConfig("worksheets", (StrategyConfig("f", "fusion", "recorded/set", fusor="a"),), n=4)
    assert comparison_spending(planned(config), RATES).calls == 1


def test_a_bank_saves_a_study_most_of_its_draws() -> None:
    kept, afresh = study_spending(["a", "b"], "a", RATES, n=4, trials=40, temperatures=5)
    assert (kept.calls, afresh.calls) == (5 * 4 + 40, 40 * 4 + 40)
    assert study_spending(["a"], "a", RATES, n=4, trials=3, temperatures=5)[0].calls == 3 * 4 + 3


def test_tokens_are_those_that_were_reported() -> None:
    candidates = (
        RecordedCandidate("a", "x", tokens_in=8, tokens_out=4),
        RecordedCandidate("a", "x", draw=1, tokens_in=8, tokens_out=8),
    )
    question = RecordedQuestion("q", "?", (*candidates, RecordedCandidate("b", "x")))
    rates = rates_of([question], {"a": Price(1.0, 1.0)})
    assert (rates.prompt, rates.answer, rates.measured) == ({"a": 8}, {"a": 6}, True)
    assert spent_on([question], rates.prices) == Spending(3, 16, 12, 28 / 1e6)


def test_tokens_that_were_not_reported_are_a_quarter_of_the_characters() -> None:
    question = RecordedQuestion(
        "q", "x" * 9, (RecordedCandidate("a", "y" * 8), RecordedCandidate("made", "z" * 99, derived=True))
    )
    rates = rates_of([question], {})
    assert (rates.prompt, rates.answer, rates.measured) == ({"a": 3}, {"a": 2}, False)
