"""n="auto": candidates are drawn in rounds until a rule says that more would hardly matter."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import dspy
import pytest
from conftest import ScriptedLM, answers, is_fusor

from dspy_fusion.optimizers.tuning.search_space import SearchSpace
from dspy_fusion.programs import BestOfN, ConfigurationError, Fusion, QuorumNotMet, Stopping, Vote
from dspy_fusion.programs.pools.stopping_rules import (
    expected_gain,
    lead_probability,
    optimal_to_stop,
    source_posterior,
)


def test_lead_probability_is_the_beta_posterior() -> None:
    assert lead_probability(0, 0) == 0.5
    assert lead_probability(3, 0) == pytest.approx(1 - 0.5**4)
    assert lead_probability(2, 1) == pytest.approx(0.6875)  # 1 - I(0.5; 3, 2)
    drawn = random.Random(0)
    shares = [drawn.betavariate(6, 3) > 0.5 for _ in range(40_000)]
    assert lead_probability(5, 2) == pytest.approx(sum(shares) / len(shares), abs=0.01)


def test_source_posterior_is_bayes_over_independent_sources() -> None:
    assert source_posterior([[0]], [0.0]) == pytest.approx(0.5)
    assert source_posterior([[0, 1], [2]], [1.0, 1.0, 1.0]) == pytest.approx(0.6652409, abs=1e-6)
    assert source_posterior([[0], [1, 2]], [9.0, 0.1, 0.1]) > 0.99  # one strong source outweighs two weak ones
    assert source_posterior([[0]], [1000.0]) == 1.0


def test_optimal_stopping_stops_where_calls_are_dear_or_the_lead_is_safe() -> None:
    assert optimal_to_stop(1, 0, 0, 10, cost=0.2)
    assert not optimal_to_stop(1, 0, 0, 10, cost=0.001)
    assert optimal_to_stop(8, 0, 0, 10, cost=0.001)
    assert not optimal_to_stop(2, 2, 0, 10, cost=0.01)
    assert optimal_to_stop(2, 2, 0, 0, cost=0.0)


def test_the_expected_gain_falls_with_what_was_seen() -> None:
    assert expected_gain([]) == float("inf")
    assert expected_gain([0.5]) > expected_gain([0.5, 0.5]) > expected_gain([0.5] * 8)
    assert expected_gain([0.1, 0.9, 0.2]) < expected_gain([0.1, 0.9, 0.8])


def test_rounds_are_few_and_grow() -> None:
    assert Stopping(round_size=4, max_rounds=3).ends(20) == [4, 7, 20]
    assert Stopping(round_size=5, max_rounds=1).ends(20) == [20]
    assert Stopping(round_size=3).ends(2) == [2]
    assert Stopping(round_size=2, max_rounds=4).ends(30) == [2, 4, 7, 30]
    assert Stopping(round_size=1, max_rounds=3).ends(9, least=4) == [4, 7, 9]


def test_agreeing_candidates_stop_the_drawing() -> None:
    lm = ScriptedLM(answers("a"))
    with dspy.context(lm=lm):
        pool = Vote(dspy.Predict("question -> answer"), n="auto", max_n=12, stopping=Stopping(round_size=4))(
            question="q"
        ).pool
    assert len(lm.requests) == len(pool.candidates) == 4
    assert (pool.saved, pool.depth) == (8, 1)
    assert pool.stopped == "agreement >= 0.95 after 4 of 12 candidates"


def test_disagreeing_candidates_are_drawn_to_the_end_in_three_rounds() -> None:
    lm = ScriptedLM(lambda request: {"answer": f"{request.config.seed}"})
    with dspy.context(lm=lm):
        pool = Vote(dspy.Predict("question -> answer"), n="auto", max_n=12)(question="q").pool
    assert len(lm.requests) == 12
    assert (pool.saved, pool.stopped, pool.depth) == (0, None, 3)


def test_an_early_pool_begins_as_the_whole_one_does() -> None:
    def answer(request: Any) -> dict[str, str]:
        return {"answer": "a" if request.config.seed != 1 else "b"}

    with dspy.context(lm=ScriptedLM(answer)):
        early = Vote(dspy.Predict("question -> answer"), n="auto", max_n=16)(question="q").pool
        whole = Vote(dspy.Predict("question -> answer"), n=12)(question="q").pool
    assert 4 < len(early.candidates) < 12
    assert [c.prediction.answer for c in early.candidates] == [c.prediction.answer for c in whole.candidates][
        : len(early.candidates)
    ]


def test_awaiting_stops_at_the_same_place() -> None:
    with dspy.context(lm=ScriptedLM(answers("a", "a", "b", "a"))):
        program = Fusion(dspy.Predict("question -> answer"), n="auto", max_n=10, gate=0.5)
        awaited, called = asyncio.run(program.acall(question="q")), program(question="q")
    assert awaited.pool.stopped == called.pool.stopped
    assert awaited.pool.total == called.pool.total


def test_fusion_fuses_what_was_drawn() -> None:
    lm = ScriptedLM(answers("a"))
    with dspy.context(lm=lm):
        pool = Fusion(dspy.Predict("question -> answer"), n="auto", max_n=9, stopping=Stopping("optimal"))(
            question="q"
        ).pool
    assert len(pool.candidates) < 9
    assert sum(map(is_fusor, lm.requests)) == 1
    assert len(pool.shown) == len(pool.candidates)
    assert pool.depth == len(lm.requests) - len(pool.candidates) + 1


def test_best_of_n_stops_at_a_reward_and_where_nothing_is_to_be_gained() -> None:
    def score(args: dict[str, Any], prediction: dspy.Prediction) -> float:
        return float(prediction.answer)

    with dspy.context(lm=ScriptedLM(answers("0.1", "0.9", "0.2", "0.3"))):
        made = BestOfN(
            dspy.Predict("question -> answer"),
            n="auto",
            max_n=16,
            scorer=score,
            stopping=Stopping("reward", threshold=0.8, round_size=2),
        )
        assert len(made(question="q").pool.candidates) == 2
    with dspy.context(lm=ScriptedLM(answers("0.5"))):
        pool = BestOfN(dspy.Predict("question -> answer"), n="auto", max_n=40, scorer=score)(question="q").pool
    assert len(pool.candidates) < 40
    assert pool.stopped.startswith("gain >= 0.95 after")


def test_no_rule_stops_below_the_quorum() -> None:
    def fails_first(request: Any) -> Any:
        if (request.config.seed or 0) < 3:
            raise ValueError("boom")
        return {"answer": "a"}

    options: dict[str, Any] = {"n": "auto", "max_n": 8, "stopping": Stopping(threshold=0.5)}
    with dspy.context(lm=ScriptedLM(fails_first)):
        pool = Vote(dspy.Predict("question -> answer"), quorum=2, **options)(question="q").pool
        assert len(pool.good) >= 2
        with pytest.raises(QuorumNotMet, match="5 of 8 candidates succeeded, but quorum=6"):
            Vote(dspy.Predict("question -> answer"), quorum=6, **options)(question="q")


def test_the_rule_and_its_numbers_are_in_the_tuners_space() -> None:
    program = Vote(dspy.Predict("question -> answer"), n="auto")
    names = {dimension.name for dimension in SearchSpace.of(program).dimensions}
    assert {"n", "stopping.rule", "stopping.threshold", "stopping.round_size", "stopping.max_rounds"} <= names


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n": "many"}, "n must be a whole number of at least 1 or 'auto', but got n='many'"),
        ({"n": 5, "max_n": 9}, "max_n needs n='auto', but got n=5 and max_n=9"),
        ({"n": 5, "stopping": "optimal"}, "stopping needs n='auto', but got n=5"),
        ({"n": "auto", "max_n": 2, "quorum": 3}, "quorum must be at most max_n=2, but got quorum=3"),
        ({"n": "auto", "max_n": 0}, "max_n must be at least 1, but got max_n=0"),
        ({"n": "auto", "stopping": "gain"}, "'gain' is not for a program that compares what its candidates say"),
        ({"n": "auto", "stopping": "luck"}, r"rule must be one of \[.*\], but got rule='luck'"),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Vote(dspy.Predict("question -> answer"), **options)


def test_best_of_n_takes_no_threshold_beside_a_rule() -> None:
    with pytest.raises(ConfigurationError, match=r"takes no threshold or fail_count; write stop"):
        BestOfN(dspy.Predict("question -> answer"), n="auto", scorer=lambda args, pred: 1.0, threshold=0.5)
    with pytest.raises(ConfigurationError, match="'agreement' is not for a program that scores its candidates"):
        BestOfN(dspy.Predict("question -> answer"), n="auto", scorer=lambda args, pred: 1.0, stopping="agreement")
