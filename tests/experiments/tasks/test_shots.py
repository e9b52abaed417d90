"""Solved examples in prompts, and metrics that a task offers."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import dspy
import pytest

from dspy_fusion.experiments.own_tasks.own_metrics import metric_of
from dspy_fusion.experiments.own_tasks.own_task import configured_task
from dspy_fusion.experiments.plans.run_config import RunConfig
from dspy_fusion.experiments.tasks import TASKS, Setup, load_task
from dspy_fusion.programs.errors import ConfigurationError


def rows(path: Path, *values: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in values), encoding="utf-8")


def test_the_first_of_the_own_rows_are_shown_and_not_asked(tmp_path: Path) -> None:
    rows(tmp_path / "r.jsonl", *({"question": f"q{n}", "answer": f"a{n}"} for n in range(5)))
    config = RunConfig(
        "r", data=str(tmp_path / "r.jsonl"), inputs=("question",), output="answer", metric="exact", shots=2
    )
    task = configured_task(config)
    assert [example.question for example in task.examples("test", 10)] == ["q2", "q3", "q4"]
    (predictor,) = task.program("").predictors()
    assert [(demo.question, demo.answer) for demo in predictor.demos] == [("q0", "a0"), ("q1", "a1")]
    messages = dspy.ChatAdapter().format(predictor.signature, predictor.demos, {"question": "q4"})
    assert [message["role"] for message in messages] == ["system", "user", "assistant", "user", "assistant", "user"]


def test_a_built_in_task_shows_examples_of_another_split() -> None:
    task = configured_task(RunConfig("worksheets", shots=1))
    (predictor,) = task.program(task.instructions).predictors()
    (demo,) = predictor.demos
    assert demo.worksheet not in {example.worksheet for example in task.examples("test", 50)}
    assert demo.answers


def test_shots_without_solved_examples_are_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"shots = 3: the task 'mgsm' has no split of solved examples"):
        configured_task(RunConfig("mgsm", shots=3))


def test_a_task_offers_metrics_by_name(tmp_path: Path) -> None:
    assert set(load_task("wmt24pp").metrics) == {"chrf", "bleu", "comet", "xcomet"}
    bleu = load_task("wmt24pp", metric="bleu").metric
    example = dspy.Example(text="Hi", translation="Guten Tag, Welt", language_code="de")
    assert bleu(example, dspy.Prediction(translation="Guten Tag, Welt")) == pytest.approx(1.0)
    with pytest.raises(ConfigurationError, match=r"'wmt24pp' has no metric 'rouge'; it offers: chrf, bleu"):
        load_task("wmt24pp", metric="rouge")
    with pytest.raises(ConfigurationError, match="'gsm8k' has no metric 'bleu'; it has its own alone"):
        load_task("gsm8k", metric="bleu")


@pytest.mark.skipif(importlib.util.find_spec("comet") is not None, reason="unbabel-comet is installed")
@pytest.mark.parametrize("name", ["comet", "xcomet"])
def test_comet_is_refused_before_any_call_where_its_package_is_absent(name: str) -> None:
    with pytest.raises(ConfigurationError, match=r"the metric x?comet needs .*dspy-fusion\[comet\]"):
        metric_of(name, "answer")


def test_m_arena_hard_asks_for_a_baseline_and_grades_against_it(tmp_path: Path) -> None:
    for language in ("de", "el"):
        questions = [{"question_id": f"h{n}", "prompt": f"{language} {n}?", "language": language} for n in range(2)]
        rows(tmp_path / "m_arena_hard" / f"{language}.jsonl", *questions)
    asked = {"data": tmp_path, "languages": ("de", "el")}
    task = load_task("m_arena_hard", **asked)
    assert [(example.id, task.group(example)) for example in task.examples("test", 4)] == [
        ("de-h0", "German"),
        ("el-h0", "Greek"),
        ("de-h1", "German"),
        ("el-h1", "Greek"),
    ]
    assert len(task.source.languages) == 23
    with pytest.raises(ConfigurationError, match=r"no baseline answer to de-h0; put the answers of a baseline into"):
        task.metric(task.examples("test", 1)[0], dspy.Prediction(answer="x"))
    rows(
        tmp_path / "m_arena_hard" / "baseline.jsonl",
        {"question_id": "h0", "language": "de", "answer": "Nein."},
        {"question_id": "h0", "language": "el", "answer": "Όχι."},
    )
    assert [example.answer for example in load_task("m_arena_hard", **asked).examples("test", 2)] == ["Nein.", "Όχι."]


@pytest.mark.parametrize("name", sorted(TASKS))
def test_every_data_set_of_the_hub_is_pinned(name: str) -> None:
    source = TASKS[name](Setup()).source
    assert not source.hub or source.revision, f"{name} reads whatever {source.hub} holds"
