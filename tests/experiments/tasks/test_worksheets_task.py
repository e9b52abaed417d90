from __future__ import annotations

import dspy
import pytest

from dspy_fusion.experiments.tasks import load_task
from dspy_fusion.experiments.tasks.worksheets import part_records, share_right, vote_parts
from dspy_fusion.programs import ConfigurationError

SHEET = dspy.Example(worksheet="(a) 1 + 1\n(b) 9 - 4\n(c) 3 x 3", answers="").with_inputs("worksheet")


def answers(a: int, b: int, c: int) -> dspy.Prediction:
    return dspy.Prediction(answers=f"(a) 1 + 1 = {a}\n(b) 9 - 4 = {b}\n(c) 3 x 3 = {c}")


def test_score_is_the_share_of_right_parts() -> None:
    assert share_right(SHEET, answers(2, 5, 8)) == pytest.approx(2 / 3)
    assert share_right(SHEET, dspy.Prediction(answers="I do not know")) == 0


def test_parts_know_which_candidates_say_the_same() -> None:
    found = part_records(SHEET, answers(2, 6, 9).answers, [answers(2, 5, 8).answers, None, answers(2, 6, 8).answers])
    assert [(part.kind, part.right, part.same_as) for part in found] == [
        ("+", True, (0, 2)),
        ("-", False, (2,)),
        ("x", True, ()),
    ]


def test_vote_takes_each_part_from_the_majority() -> None:
    voted = vote_parts({"worksheet": SHEET.worksheet}, [answers(2, 5, 8), answers(2, 4, 9), answers(3, 5, 9)])
    assert share_right(SHEET, dspy.Prediction(**voted)) == 1


def test_examples_are_nested_and_splits_differ() -> None:
    task = load_task("worksheets")
    assert task.examples("test", 5)[:3] == task.examples("test", 3)
    assert task.examples("test", 1)[0].worksheet != task.examples("train", 1)[0].worksheet
    assert all(
        task.metric(example, dspy.Prediction(answers=example.answers)) == 1 for example in task.examples("test", 20)
    )


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="there is no task 'sheets'; there are: worksheets"):
        load_task("sheets")
    with pytest.raises(ConfigurationError, match="there is no split 'dev'; there are: train, validation, test"):
        load_task("worksheets").examples("dev", 1)
