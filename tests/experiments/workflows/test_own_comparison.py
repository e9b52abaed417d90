"""Comparing programs, examples and metrics of a user's own, from Python and from a file."""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dspy
import pytest

from dspy_fusion import ConfigurationError, Fusion, RecordError, Vote, compare
from dspy_fusion.experiments.__main__ import main
from dspy_fusion.experiments.runs.run_folder import read_run

from .sums import TwoSteps, right, sums

scripted = importlib.import_module("conftest")
ROWS = sums(6)


def add(request: Any) -> str:
    prompt = scripted.prompt_of(request)
    sums = [line for line in prompt.splitlines() if " + " in line]
    text = sums[0].strip() if sums else "0 + 1"
    name = "restated" if "`[[ ## restated ## ]]`" in prompt else "answer"
    value = text if name == "restated" else str(sum(int(part) for part in text.split(" + ")))
    return f"[[ ## {name} ## ]]\n{value}\n\n[[ ## completed ## ]]"


@pytest.fixture
def lm() -> Any:
    made = scripted.ScriptedLM(add, name="scripted/adder")
    with dspy.context(lm=made, adapter=dspy.ChatAdapter()):
        yield made


def run(programs: Any, metric: Any, tmp_path: Path, examples: Any = ROWS, **options: Any) -> Any:
    options = {"tracking": False, "progress": False, **options}
    return compare(programs, examples, metric, out=tmp_path / "run", **options)


def test_any_module_is_compared_and_an_ended_run_asks_nothing_again(lm: Any, tmp_path: Path) -> None:
    solve = dspy.Predict("question -> answer")
    programs = {"two steps": TwoSteps(), "vote": Vote(solve, n=2), "fused": Fusion(solve, n=2, lms=[lm], fusor_lm=lm)}
    result = run(programs, right, tmp_path)
    assert {row.strategy.name: row.strategy.role for row in result.summary.rows} == {
        "two steps": "single",
        "vote": "select",
        "fused": "fuse",
    }
    assert {(record.usage["candidates"].calls, record.depth) for record in result.records if not record.candidates} == {
        (2, 2)
    }
    assert [pool.name for pool in result.summary.pools] == ["vote", "fused"]
    assert "two steps" in str(result)
    assert str(result.verdict) in " ".join(str(result).split()) or result.verdict.outcome
    assert result.save_report(tmp_path / "page.html").read_text().startswith("<!")
    asked = len(lm.requests)
    assert len(run(programs, right, tmp_path).records) == len(result.records)
    assert len(lm.requests) == asked


def test_two_do_not_run_one_comparison_at_the_same_time(lm: Any, tmp_path: Path) -> None:
    programs, said = {"two steps": TwoSteps()}, []

    def metric(example: dspy.Example, prediction: dspy.Prediction) -> float:
        if not said:
            said.append("it ran")
            try:
                run(programs, metric, tmp_path)
            except ConfigurationError as error:
                said.append(str(error))
        return right(example, prediction)

    assert run(programs, metric, tmp_path).finished
    assert said[1:] == [f"another process is at work in {tmp_path / 'run'}; wait for it, or choose another folder"]
    asked = len(lm.requests)
    assert run(programs, metric, tmp_path).finished  # once it is done, the folder is free
    assert len(lm.requests) == asked


@pytest.mark.parametrize(
    "metric",
    [
        lambda example, prediction: prediction.answer == example.answer,
        lambda example, prediction, trace: float(prediction.answer == example.answer),
        lambda gold, pred, trace, pred_name, pred_trace: dspy.Prediction(score=right(gold, pred), feedback="."),
        lambda example, prediction: {"score": 1},
    ],
)
def test_metrics_of_every_kind_are_asked(lm: Any, tmp_path: Path, metric: Callable[..., Any]) -> None:
    result = run({"one": dspy.Predict("question -> answer")}, metric, tmp_path)
    assert [record.score for record in result.records] == [1.0] * 6


def test_a_metric_that_raises_for_one_example_is_a_recorded_failure(lm: Any, tmp_path: Path) -> None:
    def fussy(example: dspy.Example, prediction: dspy.Prediction) -> float:
        return 1 / (int(example.answer) - 3)

    result = run({"one": dspy.Predict("question -> answer")}, lambda e, p: min(1, abs(fussy(e, p))), tmp_path)
    errors = [record.error for record in result.records if record.error]
    assert len(result.records) == 6
    assert len(errors) == 1
    assert "the metric raised ZeroDivisionError" in errors[0]


@pytest.mark.parametrize(
    ("programs", "examples", "metric", "said"),
    [
        ({"a": TwoSteps()}, ROWS, lambda e, p: "good", "the metric returned 'good', a str"),
        ({"a": TwoSteps()}, ROWS, lambda e, p: 85, r"scores lie in \[0, 1\]"),
        ({"a": TwoSteps()}, [dspy.Example(question="1", answer="2")], right, r"example 0 does not say .*with_inputs"),
        ({"a": TwoSteps()}, [], right, "there are no examples"),
        ([("a", TwoSteps()), ("a", TwoSteps())], ROWS, right, "two programs are called 'a'"),
        ({"a": TwoSteps}, ROWS, right, "an instance, not a class"),
        ({}, ROWS, right, "there are no programs"),
        ({"a": TwoSteps()}, ROWS, "no_such", "there is no metric 'no_such'"),
        ({"a": TwoSteps()}, ROWS, "os.path:no_such", "os.path can be imported, but has no 'no_such'"),
        ({"a": TwoSteps()}, ROWS, "no_such_module:x", "no_such_module cannot be imported"),
    ],
)
def test_bad_input_is_one_clear_line(
    lm: Any, tmp_path: Path, programs: Any, examples: Any, metric: Any, said: str
) -> None:
    with pytest.raises(ConfigurationError, match=said) as raised:
        run(programs, metric, tmp_path, examples)
    assert "\n" not in str(raised.value)


def test_a_csv_without_the_column_is_named_with_its_columns(lm: Any, tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("question,answer\n1 + 1,2\n")
    with pytest.raises(ConfigurationError, match=r"rows.csv, line 2 lacks a column 'query'; its columns are: question"):
        run({"a": TwoSteps()}, "exact", tmp_path, file, inputs=["query"], output="answer")
    result = run({"a": TwoSteps()}, "exact", tmp_path, file, inputs=["question"], output="answer")
    assert [record.score for record in result.records] == [1.0]


PROGRAM = """
import dspy
class Fixed(dspy.Module):
    def forward(self, question):
        return dspy.Prediction(answer=str(sum(map(int, question.split(" + ")))))
def fixed():
    return Fixed()
def exact(example, prediction, trace=None):
    return prediction.answer == example.answer
"""
CONFIG = """
data = "rows.csv"
inputs = ["question"]
output = "answer"
metric = "mine_{name}:exact"
tracking = false
out = "run"
[[strategy]]
name = "mine"
program = "mine_{name}:fixed"
"""


def test_a_file_names_programs_rows_and_metric_and_a_report_imports_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    name = tmp_path.name.replace("-", "_")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    module = tmp_path / f"mine_{name}.py"
    module.write_text(PROGRAM)
    (tmp_path / "rows.csv").write_text("question,answer\n1 + 1,2\n2 + 2,4\n3 + 3,7\n")
    (tmp_path / "compare.toml").write_text(CONFIG.format(name=name))
    assert main(["compare", "compare.toml"]) == 0
    records = sorted(read_run(tmp_path / "run").records, key=lambda record: record.inputs["question"])
    assert [record.score for record in records] == [1.0, 1.0, 0.0]
    module.write_text("raise SystemExit('imported')")
    about = json.loads((tmp_path / "run" / "run.json").read_text())
    assert about["config"]["strategies"][0]["role"] == "single"
    importlib.invalidate_caches()
    assert main(["report", "run"]) == 0
    assert "mine" in capsys.readouterr().out


def test_mlflow_has_a_run_a_strategy_that_searches_find(lm: Any, tmp_path: Path) -> None:
    from mlflow import MlflowClient

    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    solve = dspy.Predict("question -> answer")
    programs = {"one": solve, "never": Fusion(solve, n=1, lms=[lm], fusor_lm=lm)}
    result = run(programs, right, tmp_path, tracking=True, tracking_uri=uri)
    assert result.tracking_uri == uri
    client = MlflowClient(uri)
    (experiment,) = [item for item in client.search_experiments() if item.name == "dspy-fusion own"]
    runs = client.search_runs([experiment.experiment_id], "metrics.score > 0.9 and params.n = '1'")
    assert {item.info.run_name for item in runs} == {"one", "never"}
    parent = client.get_run(runs[0].data.tags["mlflow.parentRunId"])
    assert parent.inputs.dataset_inputs[0].dataset.name == "own test"
    assert {"best_score", "records"} <= parent.data.metrics.keys()
    table = json.loads(Path(client.download_artifacts(parent.info.run_id, "examples.json")).read_text())
    assert table["columns"][:4] == ["example", "seed", "inputs", "expected"]
    assert len(table["data"]) == 6
    assert os.environ.get("MLFLOW_RUN_ID") is None


def test_tasks_of_others_are_loaded_by_their_names(monkeypatch: pytest.MonkeyPatch) -> None:
    from dspy_fusion.experiments import load_task

    folder = Path(__file__).parents[3] / "examples" / "own_task"
    monkeypatch.syspath_prepend(str(folder))
    assert load_task("capitals_task:make_task").name == "capitals"
    with pytest.raises(ConfigurationError, match="has no 'nothing'"):
        load_task("capitals_task:nothing")
    with pytest.raises(ConfigurationError, match="must be a Task, or a function that returns one, but it is a dict"):
        load_task("capitals_task:ROWS")


def test_a_comparison_in_which_nothing_worked_says_so_however_small(tmp_path: Path) -> None:
    def broken(request: Any) -> str:
        raise OSError("no route to host")

    with dspy.context(lm=scripted.ScriptedLM(broken, name="scripted/broken")):
        with pytest.raises(
            RecordError, match=r"^6 answers all failed, the last with .*no route to host.*--retry-failed"
        ):
            run({"one": dspy.Predict("question -> answer")}, right, tmp_path)
    assert all(record.error for record in read_run(tmp_path / "run").records)


def test_one_answer_among_failures_is_a_result(lm: Any, tmp_path: Path) -> None:
    def once(example: dspy.Example, prediction: dspy.Prediction) -> float:
        return 1.0 / float(example.question == "0 + 1")

    result = run({"one": dspy.Predict("question -> answer")}, once, tmp_path)
    assert [row.failures for row in result.summary.rows] == [5]
