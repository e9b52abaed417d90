from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import dspy
import pytest
from conftest import ScriptedLM, prompt_of
from shared_data import DATA, needs_data

from dspy_fusion.experiments.tasks import load_task
from dspy_fusion.programs import ConfigurationError, UnreadableVerdict

QUESTION = {"question_id": 101, "category": "math", "turns": ["2 + 2?", "And doubled?"]}
REFERENCE = {"question_id": 101, "choices": [{"index": 0, "turns": ["It is four.", "It is eight."]}]}
ANSWER = dspy.Prediction(answer_1="4", answer_2="8")


def folder(path: Path, *questions: dict[str, Any], references: list[dict[str, Any]] | None = None) -> Path:
    (path / "mt_bench").mkdir()
    (path / "mt_bench" / "question.jsonl").write_text("".join(json.dumps(row) + "\n" for row in questions))
    if references is not None:
        (path / "mt_bench" / "reference_gpt-4.jsonl").write_text("".join(json.dumps(row) + "\n" for row in references))
    return path


def rating(first: str, second: str) -> ScriptedLM:
    """A judge that rates the first turn, and the second one (which it is shown with the conversation)."""
    return ScriptedLM(lambda request: {"verdict": second if "conversation ## ]]" in prompt_of(request) else first})


def test_ratings_from_1_to_10_are_scores_from_0_to_1(tmp_path: Path) -> None:
    task = load_task("mt_bench", data=folder(tmp_path, QUESTION), judge=rating("Fine. Rating: 10", "Rating: 5.5"))
    (example,) = task.examples("test", 1)
    assert task.metric(example, ANSWER) == 0.75
    assert task.aspects(example, ANSWER) == {"turn 1": 1.0, "turn 2": 0.5}


def test_the_judge_sees_the_dialogue_and_the_reference_and_is_asked_once(tmp_path: Path) -> None:
    judge = rating("Rating: 1", "Rating: 1")
    task = load_task("mt_bench", data=folder(tmp_path, QUESTION, references=[REFERENCE]), judge=judge)
    (example,) = task.examples("test", 1)
    task.metric(example, ANSWER)
    task.aspects(example, ANSWER)
    first, second = (prompt_of(request) for request in judge.requests)
    assert "It is four." in first
    assert "And doubled?" not in first
    assert all(text in second for text in ("It is eight.", '["2 + 2?", "4"]', "And doubled?", '["8"]'))


def test_without_a_reference_none_is_shown(tmp_path: Path) -> None:
    judge = rating("Rating: 1", "Rating: 1")
    task = load_task("mt_bench", data=folder(tmp_path, QUESTION), judge=judge)
    (example,) = task.examples("test", 1)
    task.metric(example, ANSWER)
    assert not any("reference" in prompt_of(request) for request in judge.requests)
    assert task.answer_text(example.toDict()) == ""


def test_a_rating_that_cannot_be_read_is_no_score(tmp_path: Path) -> None:
    task = load_task("mt_bench", data=folder(tmp_path, QUESTION), judge=rating("Rating: 7", "lovely"))
    (example,) = task.examples("test", 1)
    with pytest.raises(UnreadableVerdict, match="no rating from 1 to 10 in the judge's verdict 'lovely'"):
        task.metric(example, ANSWER)


def test_an_answer_of_one_turn_is_refused(tmp_path: Path) -> None:
    task = load_task("mt_bench", data=folder(tmp_path, QUESTION), judge=rating("Rating: 7", "Rating: 7"))
    (example,) = task.examples("test", 1)
    with pytest.raises(ConfigurationError, match="mt_bench asks two turns, but the answer lacks 'answer_1'"):
        task.metric(example, dspy.Prediction(answer_2="8"))


def test_the_hubs_columns_are_read_too(tmp_path: Path) -> None:
    row = {"prompt_id": 7, "category": "math", "prompt": QUESTION["turns"], "reference": ["four", "eight"]}
    (example,) = load_task("mt_bench", data=folder(tmp_path, row)).examples("test", 1)
    assert (example.id, example.question_2, example.answer_1, example.answer_2) == (
        "7",
        "And doubled?",
        "four",
        "eight",
    )


def test_a_dialogue_without_two_turns_is_set_aside(tmp_path: Path) -> None:
    task = load_task("mt_bench", data=folder(tmp_path, QUESTION, {**QUESTION, "question_id": 102, "turns": ["Alone?"]}))
    assert [example.id for example in task.examples("test", 1)] == ["101"]
    assert "a dialogue has two turns" in task.set_aside("test")[0].why


@pytest.mark.parametrize(
    ("references", "message"),
    [
        ([{"question_id": 101, "choices": []}], r"line 1 holds no choices\[0\].turns"),
        ([{"id": 101}], "line 1 lacks a column 'question_id'"),
    ],
)
def test_a_bad_reference_is_named(references: list[dict[str, Any]], message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=message):
        load_task("mt_bench", data=folder(tmp_path, QUESTION, references=references)).examples("test", 1)


@needs_data
def test_mt_bench_has_80_dialogues_in_eight_categories() -> None:
    task = load_task("mt_bench", data=DATA)
    examples = task.examples("test", 80)
    assert set(Counter(task.group(example) for example in examples).values()) == {10}
    assert {task.group(example) for example in examples if example.answer_2} >= {"math", "reasoning", "coding"}
