"""The cheapest way that is as good as the best, and the share of the headroom that is recovered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from dspy_fusion.experiments.evidence.cheapest import cheapest, enough_candidates, enough_text
from dspy_fusion.experiments.evidence.contenders import fused_row
from dspy_fusion.experiments.evidence.headroom import headrooms
from dspy_fusion.experiments.evidence.summary import Summary, summarize
from dspy_fusion.experiments.evidence.verdict import judge
from dspy_fusion.experiments.plans.comparison_config import CompareConfig
from dspy_fusion.experiments.records.record import Record
from dspy_fusion.programs import Usage

Make = Callable[..., Record]
WOBBLE = [-0.04, 0.02, 0.04, -0.02, 0.0, 0.03, -0.03, 0.01, -0.01]


@pytest.fixture
def summary(config: CompareConfig, record: Make) -> Callable[..., Summary]:
    """Of strategies by name: a mean score, and the tokens of an answer; every second example wobbles the other way."""
    with_curve = tuple(replace(item, every_n=item.name == "fusion") for item in config.strategies)
    config = replace(config, strategies=with_curve)

    def make(**told: tuple[float, int]) -> Summary:
        records = []
        for place, (name, (score, tokens)) in enumerate(told.items()):
            shown = name.replace("_", " ").replace("fusion n", "fusion (n=") + (")" if "_n" in name else "")
            for i, wobble in enumerate(WOBBLE):
                usage: dict[str, Any] = {"candidates": Usage(1, tokens, 0)}
                turned = wobble if place % 2 else WOBBLE[-1 - i]
                records.append(record(shown, i, score + turned, pool=(0.5, 0.6, 0.7), usage=usage))
        return summarize(config, records)

    return make


def test_fewer_candidates_that_are_level_are_enough(summary: Callable[..., Summary]) -> None:
    made = summary(fusion=(0.9, 900), fusion_n1=(0.89, 300), fusion_n2=(0.9, 600), single=(0.5, 100))
    fused = fused_row(made)
    assert fused is not None
    enough = enough_candidates(made, fused)
    assert enough is not None
    assert (enough.row.strategy.n, enough.than.strategy.name, enough.is_close) == (1, "fusion", True)
    assert enough_text(enough) == "one candidate is enough"
    assert enough.numbers.startswith("-1.0 points [")
    assert enough.numbers.endswith("for 300 instead of 900 tokens")


def test_fewer_candidates_that_are_worse_are_not(summary: Callable[..., Summary]) -> None:
    made = summary(fusion=(0.9, 900), fusion_n1=(0.6, 300), fusion_n2=(0.7, 600), single=(0.5, 100))
    fused = fused_row(made)
    assert fused is not None
    assert enough_candidates(made, fused) is None
    assert enough_text(None) == ""


def test_the_cheapest_of_all_that_are_level_with_the_best(summary: Callable[..., Summary]) -> None:
    made = summary(single=(0.5, 100), vote=(0.89, 400), fusion=(0.9, 900), fusion_n1=(0.6, 300))
    cheap = cheapest(made)
    assert cheap is not None
    assert (cheap.row.strategy.name, cheap.than.strategy.name) == ("vote", "fusion")
    assert cheap.difference.low <= 0 <= cheap.difference.high
    verdict = judge(made)
    assert "The cheapest that is not told apart from the best (fusion) is vote: -1.0 points [" in verdict.reason


def test_a_best_that_is_the_cheapest_itself_leaves_nothing_to_say(summary: Callable[..., Summary]) -> None:
    assert cheapest(summary(single=(0.95, 100), vote=(0.7, 400), fusion=(0.6, 900))) is None


def test_an_oracle_is_never_the_cheapest(summary: Callable[..., Summary]) -> None:
    made = summary(oracle=(0.9, 50), vote=(0.7, 400), fusion=(0.9, 900))
    assert cheapest(made) is None


def test_the_share_of_the_headroom_is_against_the_best_single(summary: Callable[..., Summary]) -> None:
    rooms = {
        room.row.strategy.name: room for room in headrooms(summary(single=(0.6, 9), vote=(0.65, 9), fusion=(0.8, 9)))
    }
    assert {name: round(room.share, 6) for name, room in rooms.items()} == {"vote": 0.5, "fusion": 2.0}
    assert str(rooms["vote"]) == (
        "vote recovers 50 % of the headroom between the best single answer (60.0 %) and the best candidate (70.0 %)."
    )


def test_below_the_best_single_nothing_is_recovered(summary: Callable[..., Summary]) -> None:
    (room,) = headrooms(summary(single=(0.6, 9), vote=(0.55, 9)))
    assert str(room) == (
        "vote is 5.0 points below the best single answer (60.0 %): nothing of the headroom up to the best candidate"
        " (70.0 %) is recovered."
    )


def test_without_headroom_there_is_no_share(summary: Callable[..., Summary]) -> None:
    assert headrooms(summary(single=(0.7, 9), vote=(0.7, 9), fusion=(0.7, 9))) == ()


def test_without_a_single_answer_the_mean_candidate_stands_for_it(summary: Callable[..., Summary]) -> None:
    (room,) = headrooms(summary(vote=(0.65, 9)))
    assert (round(room.single, 6), round(room.share, 6)) == (0.6, 0.5)


def test_the_head_of_a_verdict_shrinks_its_headline(summary: Callable[..., Summary]) -> None:
    made = summary(
        single=(0.5, 100), vote=(0.6, 400), vote_per_part=(0.6, 400), fusion=(0.9, 900), fusion_n1=(0.89, 300)
    )
    verdict = judge(made)
    assert verdict.head.startswith("Fuse, but one candidate is enough: fusion (n=1) is at -1.0 points [")
    assert str(verdict).startswith(verdict.head)


def test_without_a_way_of_choosing_the_best_single_answer_is_what_it_is_measured_by(
    summary: Callable[..., Summary],
) -> None:
    verdict = judge(summary(single=(0.5, 100), fusion=(0.9, 900)))
    assert verdict.outcome == "no verdict"
    assert "ahead of the best single answer (single): +40.0 points [" in verdict.reason
    assert "whether a vote or solving afresh would do as well was not asked" in verdict.reason
