from __future__ import annotations

from typing import Any

import pytest
from shared_data import DATA, needs_data

from dspy_fusion.experiments.judging.check_tables import check_table, in_words
from dspy_fusion.experiments.judging.judge_check import JudgeCheck, Orders, check, panel, panel_votes
from dspy_fusion.experiments.judging.pairs import RECORDED, Pair, read_pairs

PAIRS = tuple(
    Pair(str(i), "q", "long" * (1 + i % 3), "short" * 2, "A" if i % 2 else "B", "even" if i % 2 else "odd")
    for i in range(40)
)
FIRST: Orders = ("A", "B")
SECOND: Orders = ("B", "A")
OTHER = {"A": "B", "B": "A"}


def checked(orders: dict[str, Orders] | Orders, name: str = "judge") -> JudgeCheck:
    return check(name, PAIRS, orders if isinstance(orders, dict) else {pair.id: orders for pair in PAIRS})


def rights(*wrong: int) -> dict[str, Orders]:
    """Always right in both orders, but for these pairs."""
    said: list[Any] = [OTHER[pair.better] if i in wrong else pair.better for i, pair in enumerate(PAIRS)]
    return {pair.id: (better, better) for pair, better in zip(PAIRS, said, strict=True)}


def test_a_perfect_judge() -> None:
    found = checked(rights())
    assert (found.accuracy.mean, found.right_in_both.mean, found.flips.mean, found.ties.mean) == (1, 1, 0, 0)
    assert found.first_place.mean == 0.5
    assert (found.bias_p, found.constant, found.unreadable) == (None, None, 0)
    assert in_words(found)[0].startswith("judge is right in 100.0")


@pytest.mark.parametrize(("orders", "place"), [(FIRST, "first"), (SECOND, "second")])
def test_a_judge_that_always_names_one_place_is_called_so(orders: Orders, place: str) -> None:
    found = checked(orders)
    assert found.constant == place
    assert (found.accuracy.mean, found.flips.mean) == (0.5, 1)
    assert found.first_place.mean == float(place == "first")
    assert in_words(found) == (
        f"judge always names the answer shown {place}, whichever that is: its verdicts say nothing about the answers.",
    )


def test_a_judge_that_always_ties_is_called_so() -> None:
    found = checked(("tie", "tie"))
    assert found.constant == "tie"
    assert in_words(found)[0] == "judge always says tie: its verdicts say nothing about the answers."


def test_a_few_verdicts_are_not_always() -> None:
    assert check("judge", PAIRS[:4], {pair.id: FIRST for pair in PAIRS[:4]}).constant is None


def test_flips_are_counted_by_the_place_they_go_to() -> None:
    found = checked({**rights(), **{str(i): FIRST for i in range(6)}, **{str(i): SECOND for i in range(6, 8)}})
    assert (found.flips.mean, found.flips_to_first.mean, found.flips_to_second.mean) == (0.2, 0.15, 0.05)
    assert found.bias_p == pytest.approx(0.289, abs=0.001)


def test_a_leaning_is_said_and_asked_about() -> None:
    found = checked({**rights(), **{str(i): FIRST for i in range(15)}})
    assert any(sentence.startswith("judge leans to the answer shown first") for sentence in in_words(found))
    ties = checked({**rights(), **{str(i): ("tie", "A") for i in range(15)}})
    assert any(sentence.startswith("judge leans to the answer shown second") for sentence in in_words(ties))


def test_an_unreadable_pair_is_left_out_and_counted() -> None:
    found = checked({**rights(), "0": ("A", None), "1": (None, None)})
    assert found.unreadable == 2
    assert (found.accuracy.mean, found.accuracy.n) == (1, 38)
    assert "2 of 40 pairs have a verdict of judge that cannot be read." in in_words(found)


def test_a_judge_that_cannot_be_read_at_all_has_no_numbers() -> None:
    found = checked((None, None))
    assert (found.accuracy, found.unreadable) == (None, 40)
    assert in_words(found) == ("judge: no verdict can be read.",)


def test_a_tie_is_half_right() -> None:
    found = checked({pair.id: (pair.better, "tie") for pair in PAIRS})
    assert (found.accuracy.mean, found.ties.mean, found.right_in_both.mean) == (0.75, 0.5, 0)


def test_chance_is_called_chance_and_worse_is_called_worse() -> None:
    coin = checked({**rights(*range(1, 40, 4), *range(0, 40, 4))})
    assert "cannot be told from tossing a coin" in in_words(coin)[0]
    assert "are the labels the other way round?" in in_words(checked(rights(*range(36))))[0]


def test_a_liking_for_length_shows_where_the_better_answer_is_short() -> None:
    longest = {pair.id: ("A" if len(pair.a) > len(pair.b) else "B",) * 2 for pair in PAIRS}
    found = checked(longest)
    assert (found.right_if_longer.mean, found.right_if_shorter.mean) == (1, 0)
    assert any("prefers longer answers" in sentence for sentence in in_words(found))


def test_one_order_says_nothing_about_places() -> None:
    found = check("judge", PAIRS, {pair.id: (pair.better,) for pair in PAIRS})
    assert (found.both_orders, found.flips, found.right_in_both, len(found.by_order)) == (False, None, None, 1)
    assert any("asked in one order only" in sentence for sentence in in_words(found))


def test_a_panel_says_what_most_of_it_say() -> None:
    judges = {"a": rights(0, 1), "b": rights(2), "c": rights(0, 2, 3)}
    found = checked(panel(judges), "panel")
    assert found.accuracy.mean == 1 - 2 / 40
    assert panel({"a": {"0": ("A", "B")}, "b": {"0": ("B", None)}}) == {"0": ("tie", "B")}


def test_judges_that_err_alike_are_few_votes() -> None:
    alike = panel_votes(PAIRS, {name: rights(0, 1, 2) for name in "abc"})
    apart = panel_votes(
        PAIRS,
        {"a": rights(*range(0, 20)), "b": rights(*range(0, 40, 2)), "c": rights(*range(1, 40, 4), *range(0, 40, 4))},
    )
    assert alike == pytest.approx(1)
    assert apart is not None
    assert apart > 2.5
    assert panel_votes(PAIRS, {"a": rights(), "b": rights()}) is None


def test_the_table_has_a_column_per_judge() -> None:
    table = check_table([checked(rights(), "good"), checked(FIRST, "bad")])
    assert table.heads == ("", "good", "bad")
    assert dict((row[0], row[1:]) for row in table.rows)["pairs asked"] == ("40", "40")
    assert "right in even, %" in [row[0] for row in table.rows]


@needs_data
def test_the_recorded_judge_of_llmbar() -> None:
    pairs = read_pairs(DATA / "llmbar" / "llmbar.jsonl.gz", recorded=RECORDED)
    found = check(RECORDED, pairs, {pair.id: pair.recorded for pair in pairs})
    assert (found.pairs, found.unreadable, found.constant) == (419, 0, None)
    assert [round(estimate.mean, 4) for estimate in found.by_order if estimate] == [0.8282, 0.8616]
    assert round(found.accuracy.mean, 4) == 0.8449
    assert (round(419 * found.flips_to_first.mean), round(419 * found.flips_to_second.mean)) == (20, 10)
    assert round(found.right_in_both.mean, 4) == 0.8091
