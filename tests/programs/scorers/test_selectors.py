from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import dspy
import pytest
from conftest import ScriptedLM, prompt_of, system_of

from dspy_fusion.programs import BestOfN, ConfigurationError, GenSelect, Scorer, ScorerError, UniversalSelfConsistency

SELECTORS = {"gen_select": GenSelect, "usc": UniversalSelfConsistency}


def shown_in(request: Any) -> list[int]:
    """The answers that a selector was shown, as numbers, in their order."""
    return [int(text) for text in re.findall(r"\[\d+\] a(\d+)", prompt_of(request))]


def chooses(choice: Callable[[list[int]], Any]) -> ScriptedLM:
    """Candidate i answers ``a{i}``; the selector writes what ``choice`` makes of the answers it is shown."""

    def answer(request: Any) -> Any:
        if "verdict" not in prompt_of(request):
            return {"answer": f"a{request.config.seed}"}
        return {"verdict": choice(shown_in(request))}

    return ScriptedLM(answer)


def the_largest(shown: list[int]) -> str:
    return f"All were compared. Judgment: {shown.index(max(shown)) + 1}"


def best_of(lm: ScriptedLM, n: int, scorer: Scorer) -> Any:
    with dspy.context(lm=lm):
        return BestOfN(dspy.Predict("question -> answer"), n=n, scorer=scorer)(question="q")


@pytest.mark.parametrize("kind", SELECTORS)
def test_the_chosen_candidate_is_returned_after_one_call(kind: str) -> None:
    lm = chooses(the_largest)
    prediction = best_of(lm, 5, SELECTORS[kind]())
    assert (prediction.answer, prediction.pool.chosen) == ("a4", 4)
    assert prediction.pool.usage["scorer"].calls == 1
    assert [candidate.score for candidate in prediction.pool.candidates] == [0, 0, 0, 0, 1]


def test_the_two_selectors_are_told_different_things() -> None:
    lms = [chooses(the_largest), chooses(the_largest)]
    for lm, selector in zip(lms, SELECTORS.values(), strict=True):
        best_of(lm, 3, selector())
    told = [system_of(lm.requests[-1]) for lm in lms]
    assert "most likely to be right" in told[0]
    assert "agrees best with this majority" in told[1]


def test_the_order_is_shuffled_by_seed_and_every_repeat_has_its_own() -> None:
    lm = chooses(the_largest)
    pool = best_of(lm, 8, GenSelect(repeats=3)).pool
    orders = [tuple(shown_in(request)) for request in lm.requests if "verdict" in prompt_of(request)]
    assert len(set(orders)) == 3
    assert {tuple(sorted(order)) for order in orders} == {tuple(range(8))}
    assert pool.candidates[7].score == 1


def test_without_shuffling_the_pools_order_is_shown() -> None:
    lm = chooses(the_largest)
    best_of(lm, 4, GenSelect(shuffle=False))
    assert shown_in(lm.requests[-1]) == [0, 1, 2, 3]


def test_a_selector_that_always_says_one_place_spreads_its_votes() -> None:
    scores = [
        candidate.score for candidate in best_of(chooses(lambda shown: "1"), 5, GenSelect(repeats=20)).pool.candidates
    ]
    assert sum(scores) == pytest.approx(1)
    assert max(scores) < 0.6


def test_a_pool_that_does_not_fit_is_decided_in_windows() -> None:
    lm = chooses(the_largest)
    pool = best_of(lm, 9, GenSelect(window=4)).pool
    sizes = [len(shown_in(request)) for request in lm.requests if "verdict" in prompt_of(request)]
    assert sorted(sizes) == [3, 3, 3, 3]
    assert (pool.chosen, pool.candidates[8].score, pool.depth) == (8, 1, 3)
    assert sorted(candidate.score for candidate in pool.candidates) == [0] * 6 + [0.5] * 2 + [1]


def test_who_is_alone_in_a_window_goes_on_without_a_call() -> None:
    lm = chooses(the_largest)
    pool = best_of(lm, 3, GenSelect(window=2)).pool
    assert pool.chosen == 2
    assert pool.usage["scorer"].calls == 2


def test_a_lone_candidate_is_not_shown_to_anyone() -> None:
    prediction = best_of(chooses(the_largest), 1, GenSelect())
    assert prediction.pool.candidates[0].score == 1
    assert "scorer" not in prediction.pool.usage


def test_an_unreadable_window_costs_only_its_candidates() -> None:
    lm = chooses(lambda shown: "hm" if 0 in shown and len(shown) == 2 else the_largest(shown))
    pool = best_of(lm, 4, GenSelect(window=2, shuffle=False)).pool
    assert pool.chosen == 3
    assert pool.candidates[0].score is None
    assert "'hm'" in pool.candidates[0].score_error


def test_finalists_of_an_unreadable_final_stay_above_those_who_lost() -> None:
    lm = chooses(lambda shown: "hm" if shown == [2, 3] else the_largest(shown))
    pool = best_of(lm, 4, GenSelect(window=2, shuffle=False)).pool
    assert [candidate.score for candidate in pool.candidates] == [0, 0, 0.5, 0.5]


@pytest.mark.parametrize("kind", SELECTORS)
def test_a_selector_that_never_answers_raises(kind: str) -> None:
    with pytest.raises(ScorerError, match=f"{SELECTORS[kind].__name__} scored none of 3 candidates.*'hm'"):
        best_of(chooses(lambda shown: "hm"), 3, SELECTORS[kind]())


def test_thoughts_are_left_out_and_long_answers_lose_their_middle() -> None:
    def answer(request: Any) -> Any:
        said = "<think>secret</think>" + "x" * 90 + "middle" + "y" * 90
        return {"verdict": "1"} if "verdict" in prompt_of(request) else {"answer": said}

    lm = ScriptedLM(answer)
    best_of(lm, 2, GenSelect(max_characters=100))
    shown = prompt_of(lm.requests[-1])
    assert "[... 86 characters are left out ...]" in shown
    assert "secret" not in shown
    assert "middle" not in shown
    assert "x" * 50 in shown
    assert "y" * 50 in shown


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"window": 1}, "window must be at least 2, but got window=1"),
        ({"repeats": 0}, "repeats must be at least 1, but got repeats=0"),
        ({"max_characters": 5}, "max_characters must be at least 100 or None, but got max_characters=5"),
    ],
)
def test_bad_options_are_refused_by_name(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        GenSelect(**options)
