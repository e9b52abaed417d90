from __future__ import annotations

import re
from typing import Any

import dspy
import pytest
from conftest import ScriptedLM, prompt_of

from dspy_fusion.programs import BestOfN, ConfigurationError, PairwiseTournament


def lengths(request: Any) -> Any:
    """Answers of growing length; a judge that rates by length."""
    if "verdict" not in prompt_of(request):
        return {"answer": "x" * (1 + request.config.seed)}
    shown = re.search(r'\[("x+", "x+")\]', prompt_of(request)).group(1)
    first, second = (len(text) - 2 for text in shown.split(", "))
    return {"verdict": f"{first} {second}"}


def pairs_of(lm: ScriptedLM) -> list[frozenset[str]]:
    """The pairs that a judge was shown."""
    asked = [prompt_of(request) for request in lm.requests if "verdict" in prompt_of(request)]
    return [frozenset(re.search(r'\[("x+", "x+")\]', prompt).group(1).split(", ")) for prompt in asked]


@pytest.mark.parametrize(("rounds", "calls"), [(None, 2 * 6), (1, 2 * 2), (2, 2 * 4), (3, 2 * 6), (9, 2 * 6)])
def test_the_best_wins_the_tournament(rounds: int | None, calls: int) -> None:
    with dspy.context(lm=ScriptedLM(lengths)):
        best = BestOfN(dspy.Predict("question -> answer"), n=4, scorer=PairwiseTournament(rounds=rounds))
        prediction = best(question="q")
    assert prediction.pool.usage["scorer"].calls == calls
    assert [c.score for c in prediction.pool.candidates][-1] == 1.0
    assert rounds == 1 or prediction.answer == "xxxx"


def test_first_pairs_are_drawn_by_seed_and_input() -> None:
    def first_pairs(seed: int, question: str) -> list[frozenset[str]]:
        lm = ScriptedLM(lengths)
        with dspy.context(lm=lm):
            BestOfN(dspy.Predict("question -> answer"), n=8, scorer=PairwiseTournament(rounds=1, seed=seed))(
                question=question
            )
        return sorted(pairs_of(lm), key=sorted)

    assert first_pairs(0, "q") == first_pairs(0, "q")
    assert len({tuple(first_pairs(seed, question)) for seed in range(2) for question in "pq"}) > 2


def test_every_candidate_meets_as_many_as_it_must_before_standings_decide() -> None:
    lm = ScriptedLM(lengths)
    with dspy.context(lm=lm):
        scorer = PairwiseTournament(rounds=3, min_matches=3, both_orders=False)
        BestOfN(dspy.Predict("question -> answer"), n=7, scorer=scorer)(question="q")
    pairs = pairs_of(lm)
    assert len(set(pairs)) == len(pairs) == 9
    assert min(sum(f'"{"x" * (i + 1)}"' in pair for pair in pairs) for i in range(7)) >= 2


def test_a_preference_for_a_place_cancels_out() -> None:
    def first_is_best(request: Any) -> Any:
        return {"verdict": "9 2"} if "verdict" in prompt_of(request) else {"answer": f"a{request.config.seed}"}

    with dspy.context(lm=ScriptedLM(first_is_best)):
        pool = BestOfN(dspy.Predict("question -> answer"), n=3, scorer=PairwiseTournament())(question="q").pool
    assert {candidate.score for candidate in pool.candidates} == {0.5}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rounds": 0}, "rounds must be at least 1 or None, but got rounds=0"),
        ({"min_matches": 0}, "min_matches must be at least 1, but got min_matches=0"),
        ({"window": 0}, "window must be at least 1, but got window=0"),
        ({"least_weight": 0}, "least_weight must be above 0 and at most 1, but got least_weight=0"),
    ],
)
def test_bad_options_are_refused_by_name(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        PairwiseTournament(**options)
