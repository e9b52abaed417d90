from __future__ import annotations

import random
from collections.abc import Callable, Iterable

import pytest

from dspy_fusion.experiments.evidence.followed_candidates import followed
from dspy_fusion.experiments.evidence.position_bias import PositionBias, position_bias, position_table
from dspy_fusion.experiments.records.record import CandidateRecord, Record

Make = Callable[..., Record]
TEXTS = ("the cat sat on a mat", "one dog lay in bed all day", "few birds sang from trees")


def records(
    record: Make, follows: Callable[[random.Random], int], *, fixed: bool = False, n: int = 200
) -> Iterable[Record]:
    """Answers that copy the candidate shown at a place."""
    candidates = tuple(CandidateRecord(text, f"model{i}", 0.5) for i, text in enumerate(TEXTS))
    rng = random.Random(0)
    for example in range(n):
        order = (0, 1, 2) if fixed else tuple(rng.sample(range(3), 3))
        answer = TEXTS[order[follows(rng)]]
        yield record("fusion", example, 0.5, answer=answer, candidates=candidates, shown=order, parts=())


def bias(record: Make, follows: Callable[[random.Random], int], **rest: object) -> PositionBias:
    found = position_bias("fusion", followed(records(record, follows, **rest)))  # type: ignore[arg-type]
    assert found is not None
    return found


def test_following_the_first_is_seen(record: Make) -> None:
    found = bias(record, lambda rng: 0 if rng.random() < 0.5 else rng.randrange(3))
    assert found.first.low > 0.2
    assert found.favours == "first"
    assert sum(found.shares) == pytest.approx(1)


def test_following_the_last_is_seen(record: Make) -> None:
    assert bias(record, lambda rng: 2).favours == "last"


def test_following_any_is_no_bias(record: Make) -> None:
    found = bias(record, lambda rng: rng.randrange(3))
    assert found.first.low < 0 < found.first.high
    assert found.favours == ""


def test_a_fixed_order_is_said_and_favours_nothing(record: Make) -> None:
    found = bias(record, lambda rng: 0, fixed=True)
    assert (found.drawn, found.favours) == (False, "")
    assert position_table([found]).rows[0][-1] == "fixed"


def test_without_a_recorded_order_nothing_is_said(record: Make) -> None:
    assert position_bias("fusion", followed([record("fusion", 0, 1.0)])) is None


def test_what_all_candidates_say_shows_no_place(record: Make) -> None:
    candidates = tuple(CandidateRecord("a b c", f"model{i}", 0.5) for i in range(2))
    made = record("fusion", 0, 1.0, answer="a b c", candidates=candidates, shown=(1, 0), parts=())
    assert position_bias("fusion", followed([made])) is None
