from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Any

import dspy
import mlflow
import pytest
from conftest import ScriptedLM
from mlflow.dspy import autolog, load_model
from tuning_problem import CAREFUL, EXAMPLES, answer, program, tuner

from dspy_fusion import tune
from dspy_fusion.optimizers import TuningReport
from dspy_fusion.programs import ConfigurationError


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("study")


@pytest.fixture(scope="module")
def told() -> list[Any]:
    return []


@pytest.fixture(scope="module")
def tuned(folder: Path, told: list[Any]) -> Any:
    with dspy.context(lm=ScriptedLM(answer)):
        study = tuner(folder, trials=12, on_progress=told.append)
        return tune(program(), study, valset=EXAMPLES, out=folder / "run", tracking_uri=uri(folder), name="yes")


def uri(folder: Path) -> str:
    return f"sqlite:///{folder / 'mlflow.db'}"


def runs(folder: Path) -> tuple[Any, dict[str, Any]]:
    client = mlflow.MlflowClient(uri(folder))
    experiment = client.get_experiment_by_name("dspy-fusion tune yes")
    assert experiment is not None
    found = client.search_runs([experiment.experiment_id])
    below = {run.info.run_name or "": run for run in found if "mlflow.parentRunId" in run.data.tags}
    (parent,) = (run for run in found if "mlflow.parentRunId" not in run.data.tags)
    return parent, below


def test_files_and_figures_are_left_and_the_report_reads_back(tuned: Any, folder: Path, told: list[Any]) -> None:
    assert TuningReport.load(folder / "run" / "tuning_report.json") == tuned.tuning_report
    assert {path.name for path in (folder / "run" / "plots").iterdir()} >= {"course.png", "pareto.svg"}
    again = program()
    again.load(folder / "run" / "program.json")
    assert again.dump_state() == tuned.dump_state()
    assert len(told) == 12  # the tuner's own listener hears of every trial too


def test_whoever_comes_after_a_study_has_the_store_that_they_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with dspy.context(lm=ScriptedLM(answer)):
        tune(program(), tuner(tmp_path, trials=1), valset=EXAMPLES, out=tmp_path / "run", tracking_uri=uri(tmp_path))
        assert "MLFLOW_TRACKING_URI" not in os.environ
        assert not mlflow.is_tracking_uri_set()
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'theirs.db'}")
        tune(program(), tuner(tmp_path, trials=1), valset=EXAMPLES, out=tmp_path / "two", tracking_uri=uri(tmp_path))
        assert os.environ["MLFLOW_TRACKING_URI"] == f"sqlite:///{tmp_path / 'theirs.db'}"


def test_each_trial_is_a_run_and_the_chosen_one_is_tagged(tuned: Any, folder: Path) -> None:
    parent, below = runs(folder)
    report = tuned.tuning_report
    assert parent.info.status == "FINISHED"
    assert set(below) == {f"trial {trial.number}" for trial in report.trials}
    assert {run.info.status for run in below.values()} == {"FINISHED"}
    chosen = [name for name, run in below.items() if run.data.tags.get("chosen") == "true"]
    assert chosen == [f"trial {report.chosen}"]
    for trial in report.trials:
        metrics = below[f"trial {trial.number}"].data.metrics
        name = "quality" if trial.state == "whole" else "partial_quality"
        assert metrics[name] == pytest.approx(trial.quality.mean)
        assert ("quality" in metrics) == (trial.state == "whole")


def test_instructions_are_linked_versions_and_examples_a_data_set(tuned: Any, folder: Path) -> None:
    parent, below = runs(folder)
    (link,) = json.loads(below[f"trial {tuned.tuning_report.chosen}"].data.tags["mlflow.linkedPrompts"])
    prompt = mlflow.MlflowClient(uri(folder)).load_prompt(f"prompts:/{link['name']}/{link['version']}")
    assert prompt is not None
    assert prompt.template == CAREFUL
    (data,) = parent.inputs.dataset_inputs
    assert json.loads(data.dataset.profile)["num_rows"] == 24


def test_the_program_is_a_logged_model_that_loads(tuned: Any, folder: Path) -> None:
    mlflow.set_tracking_uri(uri(folder))
    parent, _ = runs(folder)
    (model,) = mlflow.search_logged_models(experiment_ids=[parent.info.experiment_id], output_format="list")
    loaded = load_model(model.model_uri)
    assert loaded.dump_state() == tuned.dump_state()
    dspy.configure(lm=ScriptedLM(answer))
    assert loaded(question="q1").answer in ("yes", "no")


def test_a_store_that_fails_costs_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    dspy.configure(lm=ScriptedLM(answer))
    with caplog.at_level(logging.WARNING):
        tuned = tune(
            program(), tuner(tmp_path, trials=2), valset=EXAMPLES, out=tmp_path / "run", tracking_uri="nonsense://x"
        )
    assert len(tuned.tuning_report.trials) == 2
    assert "not tracked in MLflow" in caplog.text


def test_a_run_of_the_users_own_stays_the_active_one(tmp_path: Path) -> None:
    dspy.configure(lm=ScriptedLM(answer))
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path / 'own.db'}")
    mlflow.set_experiment("mine")  # whatever was the active one before is not in this store
    with mlflow.start_run() as mine:
        tune(program(), tuner(tmp_path, trials=2), valset=EXAMPLES, out=tmp_path / "run", tracking_uri=uri(tmp_path))
        active = mlflow.active_run()
        assert active is not None
        assert active.info.run_id == mine.info.run_id
    assert mlflow.get_tracking_uri() == f"sqlite:///{tmp_path / 'own.db'}"


def test_what_autologging_records_joins_the_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_ENABLE_ASYNC_TRACE_LOGGING", "false")
    dspy.configure(lm=ScriptedLM(answer))
    mlflow.set_tracking_uri(uri(tmp_path))
    autolog(log_compiles=True, log_traces_from_compile=True)
    try:
        options: dict[str, Any] = {"valset": EXAMPLES[:8], "out": tmp_path / "run", "tracking_uri": uri(tmp_path)}
        tuned = tune(program(), tuner(tmp_path, trials=2), name="yes", **options)
    finally:
        autolog(disable=True)
    parent, below = runs(tmp_path)
    assert set(below) == {f"trial {trial.number}" for trial in tuned.tuning_report.trials}
    client = mlflow.MlflowClient(uri(tmp_path))
    everywhere = [experiment.experiment_id for experiment in client.search_experiments()]
    assert len(client.search_runs(everywhere)) == 1 + len(below)  # no run of autologging's own
    assert "best_model.json" in {file.path for file in client.list_artifacts(parent.info.run_id)}
    traces = client.search_traces(locations=everywhere)
    assert {trace.info.trace_metadata.get("mlflow.sourceRun") for trace in traces} == {parent.info.run_id}
    assert any("Fusion" in span.name for trace in traces for span in trace.data.spans)


def test_something_else_than_a_tuner_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="tuner must be an OptunaTuner, but got a str"):
        tune(program(), "optuna", valset=EXAMPLES)  # type: ignore[arg-type]
