from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import dspy
import pytest
from conftest import ScriptedLM, prompt_of
from shared_data import DATA, needs_data

from dspy_fusion.experiments.tasks import load_task
from dspy_fusion.programs import ConfigurationError, UnreadableVerdict


def rows(folder: Path, *lines: dict[str, Any]) -> Path:
    (folder / "arena").mkdir()
    (folder / "arena" / "test.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


ROW = {"id": "r1", "prompt": "Name a colour.", "baseline": "Blue."}


def longest(request: Any) -> Any:
    """A judge that prefers the longer answer, and mumbles where it is asked about mumbling."""
    prompt = prompt_of(request)
    a, b = (re.search(rf'\[{name}\] ([^"]*)"', prompt)[1] for name in "AB")
    return {
        "verdict": "hm"
        if "mumble" in prompt
        else "[[tie]]"
        if len(a) == len(b)
        else "[[A]]"
        if len(a) > len(b)
        else "[[B]]"
    }


def score(folder: Path, answer: str, judge: ScriptedLM | None = None) -> float:
    task = load_task("arena", data=folder, judge=judge or ScriptedLM(longest))
    (example,) = task.examples("test", 1)
    return task.metric(example, dspy.Prediction(answer=answer))


@pytest.mark.parametrize(("answer", "won"), [("Ultramarine.", 1.0), ("Teal.", 0.5), ("Red", 0.0)])
def test_the_score_is_the_verdict_against_the_baseline(answer: str, won: float, tmp_path: Path) -> None:
    assert score(rows(tmp_path, ROW), answer) == won


def test_a_judge_that_prefers_a_place_gives_ties(tmp_path: Path) -> None:
    assert score(rows(tmp_path, ROW), "Ultramarine.", ScriptedLM(lambda request: {"verdict": "[[A]]"})) == 0.5


def test_a_verdict_that_cannot_be_read_is_no_score(tmp_path: Path) -> None:
    with pytest.raises(UnreadableVerdict, match="with A first: no preference in the judge's verdict 'hm'"):
        score(rows(tmp_path, {**ROW, "prompt": "mumble"}), "Red")


def test_one_answer_is_judged_once(tmp_path: Path) -> None:
    judge = ScriptedLM(longest)
    task = load_task("arena", data=rows(tmp_path, ROW), judge=judge)
    (example,) = task.examples("test", 1)
    for answer in ("Red", "Red", "Teal."):
        task.metric(example, dspy.Prediction(answer=answer))
    assert len(judge.requests) == 4


def test_the_judge_costs_the_judged_program_nothing(tmp_path: Path) -> None:
    with dspy.track_usage() as tracker:
        score(rows(tmp_path, ROW), "Red")
    assert tracker.get_total_tokens() == {}


def test_without_a_judge_the_task_can_be_looked_at(tmp_path: Path) -> None:
    task = load_task("arena", data=rows(tmp_path, ROW))
    (example,) = task.examples("test", 1)
    assert (task.needs_judge, example.prompt, task.answer_text(example.toDict())) == (True, "Name a colour.", "Blue.")
    with pytest.raises(ConfigurationError, match="the metric of arena asks a judge"):
        task.metric(example, dspy.Prediction(answer="Red"))


def test_alpaca_evals_columns_are_read_too(tmp_path: Path) -> None:
    row = {"dataset": "koala", "instruction": "Name a colour.", "output": "Blue.", "generator": "gpt4"}
    (example,) = load_task("arena", data=rows(tmp_path, row)).examples("test", 1)
    assert (example.id, example.prompt, example.answer, example.category) == (
        "arena-0",
        "Name a colour.",
        "Blue.",
        "koala",
    )


def test_a_row_without_a_baseline_is_set_aside(tmp_path: Path) -> None:
    task = load_task("arena", data=rows(tmp_path, ROW, {**ROW, "id": "r2", "baseline": " "}))
    assert [example.id for example in task.examples("test", 1)] == ["r1"]
    assert [row.why for row in task.set_aside("test")] == ["the baseline has no answer"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            {"id": "r2", "prompt": "Name a colour."},
            "line 2 lacks a column 'baseline' \\(or 'reference_gpt4', 'output'\\)",
        ),
        (ROW, "two rows have the id 'r1'"),
    ],
)
def test_a_bad_row_is_named(line: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=message):
        load_task("arena", data=rows(tmp_path, ROW, line)).examples("test", 1)


@needs_data
def test_arena_bench_has_157_requests_with_answers() -> None:
    examples = load_task("arena", data=DATA).examples("test", 157)
    assert len({example.id for example in examples}) == 157
    assert all(example.answer for example in examples)


def test_without_a_folder_and_a_network_both_ways_out_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DSPY_FUSION_DATA", raising=False)
    with pytest.raises(
        ConfigurationError, match=r"tatsu-lab/alpaca_eval cannot be had from the hub .*name the folder that holds it"
    ):
        load_task("arena").examples("test", 1)
