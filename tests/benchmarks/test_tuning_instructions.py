"""The fusor that does what it is told, and what tuning gains with it: its lessons, and how seeds are summed up."""

from __future__ import annotations

import itertools
import json
import random
from pathlib import Path

import pytest

pytest.importorskip("torch")

from benchmarks.instructed_weights import INSTRUCTIONS, LEVELS, Course, lessons, loaded, make_weights, told_apart
from benchmarks.train_embedded.pools import AnsweredPart
from benchmarks.tuning_instructions import summary
from dspy_fusion.programs.tasks.instructions import CONSENSUS
from dspy_fusion.serving.embedded.arithmetic import Part, parse_question, read_results
from dspy_fusion.serving.embedded.embedded_lm import embedded_lm
from dspy_fusion.serving.embedded.embedded_model import WEIGHTS

BANK = [
    AnsweredPart(Part(left, "+", 7), {"plus": (left + 7,), "minus": (left + 8,)}) for left in range(10, 40)
]  # one source is always right, the other never


def test_each_pool_comes_under_the_consensus_and_under_another_instruction() -> None:
    rows = list(itertools.islice(lessons(random.Random(0), BANK, LEVELS[2]), 120))
    for consensus, other in zip(rows[::2], rows[1::2], strict=True):
        assert consensus.user == other.user
        assert CONSENSUS in consensus.system
        assert CONSENSUS not in other.system
        assert "Response 1:\n(a) " in consensus.system
        assert "Response 4:" not in consensus.system
        sheet = parse_question(other.user)
        assert read_results(sheet, other.answer) == [part.result for part in sheet]
    assert {told for told in INSTRUCTIONS for row in rows if told in row.system} == set(INSTRUCTIONS)
    assert sum(a.answer != b.answer for a, b in zip(rows[::2], rows[1::2], strict=True)) > 20


def test_the_consensus_is_what_most_candidates_say_right_or_wrong() -> None:
    for row in itertools.islice(lessons(random.Random(3), BANK, LEVELS[0]), 0, 40, 2):
        assert row.answer.splitlines()[0] in row.system  # one candidate, which is copied


def test_the_shipped_aggregator_does_not_heed_which_of_the_instructions_it_is_told() -> None:
    own, other = told_apart(
        loaded(WEIGHTS / "aft.safetensors"), list(itertools.islice(lessons(random.Random(1), BANK, LEVELS[0]), 30))
    )
    assert own == pytest.approx(other, rel=0.02)


def test_a_course_begins_with_single_sums_and_full_sheets() -> None:
    sheets = [
        parse_question(row.user)
        for row in itertools.islice(Course(BANK).at(0, loaded(WEIGHTS / "aft.safetensors")), 200)
    ]
    assert {len(sheet) for sheet in sheets} == {1, 4, 5, 6}


def test_training_ends_in_a_model_that_answers_and_is_not_done_twice(tmp_path: Path) -> None:
    rows = [
        {"part": [item.part.left, "+", item.part.right], "results": {k: list(v) for k, v in item.results.items()}}
        for item in BANK
    ]
    (tmp_path / "answers.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    made = make_weights(tmp_path, steps=1)
    before = made.stat().st_mtime_ns
    assert "(a) 4 + 5 = " in str(embedded_lm(str(made))("(a) 4 + 5")[0])
    assert make_weights(tmp_path).stat().st_mtime_ns == before


def test_gains_are_told_over_sheets_and_over_seeds_with_the_share_of_requests() -> None:
    arms = ("together", "as it was", "one candidate, then n", "random search")
    seeds = [
        {"scores": dict(zip(arms, ([1.0, 0.9], [0.5, 0.4], [0.9, 0.8], [1.0, 0.9]), strict=True)), "requests": 12,
         "afresh": 100},
        {"scores": dict(zip(arms, ([0.8, 0.9], [0.5, 0.6], [0.7, 0.8], [0.8, 0.9]), strict=True)), "requests": 16,
         "afresh": 100},
    ]  # fmt: skip
    before, by_hand, random_search, requests = summary(seeds)
    assert before.startswith("tuned together over as it was: +40.0 [")
    assert before.endswith("+40.0 [+30.0, +50.0] over seeds")
    assert "+10.0 [+10.0, +10.0] points over sheets" in by_hand
    assert "+0.0 [+0.0, +0.0]" in random_search
    assert requests == "requests relative to drawing every trial afresh: +14.0 [+12.0, +16.0] %"
