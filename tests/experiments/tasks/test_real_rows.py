"""Every task on its real rows: how many there are, and that right answers are graded right and wrong ones wrong."""

from __future__ import annotations

from collections import Counter
from typing import Any

import dspy
import pytest
from shared_data import DATA, needs_data

from dspy_fusion.experiments.rows.row_files import read_file
from dspy_fusion.experiments.tasks import load_task
from dspy_fusion.experiments.tasks.math_answers import is_right

pytestmark = needs_data
ALL = 10**6
MGSM = ("en", "bn", "de", "es", "fr", "ja", "ru", "sw", "te", "th", "zh")
WRONG: dict[str, Any] = {
    "gsm8k": lambda example: {"answer": f"{example.answer}1"},
    "mgsm": lambda example: {"answer": f"{example.answer}1"},
    "msvamp": lambda example: {"answer": f"1{example.answer}"},
    "strategyqa": lambda example: {"answer": "no" if example.answer == "yes" else "yes"},
    "arc_challenge": lambda example: {"answer": "B" if example.answer == "A" else "A"},
    "mmlu": lambda example: {"answer": "B" if example.answer == "A" else "A"},
    "geofact_x": lambda example: {"answer": "Atlantis"},
    "wmt24pp": lambda example: {"translation": example.text},
    "humaneval": lambda example: {"code": "def nothing():\n    pass"},
    "mbpp": lambda example: {"code": "def nothing():\n    pass"},
}


@pytest.mark.parametrize(
    ("name", "split", "groups"),
    [
        ("gsm8k", "test", {"": 1319}),
        ("gsm8k", "train", {"": 7473}),
        ("mgsm", "test", dict.fromkeys(MGSM, 250)),
        ("msvamp", "test", dict.fromkeys(set(MGSM) - {"te"}, 250)),
        ("strategyqa", "test", {"": 229}),
        ("strategyqa", "train", {"": 2061}),
        ("arc_challenge", "test", {"": 1172}),
        ("humaneval", "test", {"": 164}),
        ("mbpp", "test", {"": 257}),
        ("mbpp", "validation", {"": 43}),
        ("geofact_x", "test", {"en": 480, "hi": 433, "ja": 417, "th": 416, "sw": 409}),
        ("wmt24pp", "test", dict.fromkeys(("et_EE", "ro_RO", "tr_TR", "uk_UA"), 960)),
    ],
)
def test_nothing_is_lost(name: str, split: str, groups: dict[str, int]) -> None:
    task = load_task(name, data=DATA)
    assert Counter(map(task.group, task.examples(split, ALL))) == groups
    assert task.set_aside(split) == ()


def test_mmlu_has_25_questions_of_each_subject() -> None:
    task = load_task("mmlu", data=DATA)
    groups = Counter(map(task.group, task.examples("test", ALL)))
    assert (len(groups), set(groups.values())) == (57, {25})


@pytest.mark.parametrize("name", WRONG)
def test_right_answers_score_one_and_wrong_ones_less_in_every_group(name: str) -> None:
    task = load_task(name, data=DATA)
    examples = task.examples("test", {"wmt24pp": 400, "humaneval": 12, "mbpp": 12}.get(name, ALL))
    assert {task.metric(example, dspy.Prediction(**example.toDict())) for example in examples} == {1.0}
    wrong = [
        (task.group(example), task.metric(example, dspy.Prediction(**WRONG[name](example)))) for example in examples
    ]
    assert all(score < (0.9 if name == "wmt24pp" else 1e-9) for _, score in wrong)
    assert {group for group, _ in wrong} == set(map(task.group, examples))


@pytest.mark.parametrize("name", WRONG)
def test_an_answer_that_says_nothing_scores_zero(name: str) -> None:
    task = load_task(name, data=DATA)
    example = task.examples("test", 1)[0]
    assert task.metric(example, dspy.Prediction(answer="", translation="", code="")) == 0
    assert task.metric(example, dspy.Prediction(answer=None, translation=None, code=None)) == 0


@pytest.mark.parametrize("name", ["mgsm", "msvamp"])
def test_answers_in_the_languages_own_digits_are_right(name: str) -> None:
    """Bengali, Telugu and Thai digits, wherever the right answer is a whole number."""
    for code, zero in {"bn": 0x9E6, "te": 0xC66, "th": 0xE50}.items():
        task = load_task(name, data=DATA)
        if code not in task.source.languages:
            continue
        for example in load_task(name, data=DATA, languages=[code]).examples("test", 250):
            digits = "".join(chr(zero + int(c)) if c.isdigit() else c for c in example.answer.removesuffix(".0"))
            assert task.metric(example, dspy.Prediction(answer=digits)) == 1, (example.answer, digits)


def test_grading_agrees_with_the_flags_of_recorded_solutions() -> None:
    """On the extracted answers always; on whole solutions nearly so,
    and there the recorded extraction is the one that misses signs.
    """
    assert DATA is not None
    pools = [row.values for row in read_file(DATA / "gsm8k_pool" / "pool.jsonl.gz")][:150]
    kept = [(pool["gold"], given) for pool in pools for given in pool["candidates"] if not given.get("flag_conflict")]
    assert len(kept) > 2900
    extracted = [_agrees(gold, given, "pred") for gold, given in kept]
    whole = [_agrees(gold, given, "text") for gold, given in kept]
    assert (all(extracted), sum(whole) / len(whole) > 0.995) == (True, True)


def _agrees(gold: str, given: dict[str, Any], field: str) -> bool:
    return bool(is_right(dspy.Example(answer=gold), dspy.Prediction(answer=given[field]))) == given["correct"]


def test_every_accepted_name_of_geofact_x_is_right() -> None:
    task = load_task("geofact_x", data=DATA)
    examples = task.examples("test", ALL)
    assert all(
        task.metric(example, dspy.Prediction(answer=name)) == 1 for example in examples for name in example.accepted
    )
