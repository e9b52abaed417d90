"""An MLflow server that is killed while it is told of a run: the run goes on, and what is told later is whole."""

from __future__ import annotations

import importlib
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dspy
import pytest
from mlflow import MlflowClient
from mlflow_server import MlflowServer, needs_mlflow_server
from tuning_problem import EXAMPLES, answer, program, tuner

from dspy_fusion import Fusion, Vote, compare, tune
from dspy_fusion.experiments.__main__ import main
from dspy_fusion.experiments.records.outbox import Told
from dspy_fusion.experiments.runs import run_tracker
from dspy_fusion.experiments.runs.run_tracker import Tracker
from dspy_fusion.experiments.runs.run_writer import Place

scripted = importlib.import_module("conftest")
pytestmark = [pytest.mark.long, needs_mlflow_server]
ROWS = [dspy.Example(question=f"{n} + 1", answer=str(n + 1)).with_inputs("question") for n in range(6)]
NAMES = ("one", "vote", "fused")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[MlflowServer]:
    server = MlflowServer(tmp_path)
    server.start()
    yield server
    server.stop()


def compared(folder: Path, address: str) -> Any:
    def add(request: Any) -> dict[str, str]:
        text = next(line for line in scripted.prompt_of(request).splitlines() if " + " in line).strip()
        return {"answer": str(sum(int(part) for part in text.split(" + ")))}

    lm, solve = scripted.ScriptedLM(add, name="scripted/adder"), dspy.Predict("question -> answer")
    with dspy.context(lm=lm):
        programs = dict(zip(NAMES, (solve, Vote(solve, n=2), Fusion(solve, n=2, lms=[lm], fusor_lm=lm)), strict=True))
        right = lambda example, prediction: prediction.answer == example.answer  # noqa: E731
        return compare(programs, ROWS, right, out=folder / "run", tracking_uri=address, progress=False)


def held(address: str) -> dict[str, Any]:
    """All that a server holds of its one experiment, without what each server numbers for itself."""
    client = MlflowClient(address)
    (experiment,) = [item for item in client.search_experiments() if item.name.startswith("dspy-fusion ")]
    runs = {run.info.run_id: run for run in client.search_runs([experiment.experiment_id])}
    names = {run_id: str(run.info.run_name) for run_id, run in runs.items()}
    traces = client.search_traces(locations=[experiment.experiment_id])
    models = client.search_logged_models([experiment.experiment_id])
    return {
        "runs": sorted(names.values()),
        "status": {run.info.status for run in runs.values()},
        "parameters": {names[run_id]: dict(run.data.params) for run_id, run in runs.items()},
        "metrics": {names[run_id]: sorted(run.data.metrics) for run_id, run in runs.items()},
        "points": {names[i]: [len(client.get_metric_history(i, key)) for key in runs[i].data.metrics] for i in runs},
        "inputs": {names[run_id]: len(run.inputs.dataset_inputs) for run_id, run in runs.items()},
        "files": {names[run_id]: sorted(file.path for file in client.list_artifacts(run_id)) for run_id in runs},
        "traces": sorted(Counter(names[t.info.trace_metadata["mlflow.sourceRun"]] for t in traces).items()),
        "spans": sorted(Counter((t.info.tags["mlflow.traceName"], len(t.data.spans)) for t in traces).items()),
        "scores": Counter(len(t.info.assessments) for t in traces),
        "models": sorted((m.name, m.status.value, len(m.metrics or ()), names[m.source_run_id or ""]) for m in models),
        "outputs": {names[run_id]: len(run.outputs.model_outputs) for run_id, run in runs.items() if run.outputs},
        "prompts": sorted(run.data.tags.get("mlflow.linkedPrompts", "").count("version") for run in runs.values()),
    }


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a server holds that lives through the same comparison."""
    folder = tmp_path_factory.mktemp("whole")
    server = MlflowServer(folder)
    server.start()
    try:
        compared(folder, server.address)
        return held(server.address)
    finally:
        server.stop()


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("select count(*) from runs", 1),
        ("select count(*) from trace_info", 4),
        ("select count(*) from assessments", 8),
        ("select count(*) from logged_models", 2),
        ("select count(*) from metrics", 30),
    ],
)
def test_what_a_killed_server_missed_of_a_comparison_is_told_once(
    query: str,
    count: int,
    server: MlflowServer,
    whole: dict[str, Any],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    death = server.kill_when(query, count)
    result = compared(tmp_path, server.address)
    death.join(timeout=60)
    assert [row.score.mean for row in result.summary.rows] == [1.0, 1.0, 1.0]
    assert capsys.readouterr().out == ""
    assert main(["sync", str(tmp_path / "run")]) == 2
    assert "what is missing stays in the folder" in capsys.readouterr().err
    server.start()
    for _ in range(2):
        assert main(["sync", str(tmp_path / "run")]) == 0
        assert held(server.address) == whole


def test_a_study_goes_on_without_its_server(server: MlflowServer, tmp_path: Path) -> None:
    death = server.kill_when("select count(*) from runs", 3)
    with dspy.context(lm=scripted.ScriptedLM(answer)):
        study = tuner(tmp_path, trials=8)
        report = tune(
            program(), study, valset=EXAMPLES, out=tmp_path / "run", tracking_uri=server.address, name="yes"
        ).tuning_report
    death.join(timeout=60)
    server.start()
    for _ in range(2):
        assert main(["sync", str(tmp_path / "run")]) == 0
        store = held(server.address)
        assert store["runs"] == sorted(["run", *(f"trial {trial.number}" for trial in report.trials)])
        assert store["status"] == {"FINISHED"}
        assert all(set(points) == {1} for points in store["points"].values())
        assert [model[1:] for model in store["models"]] == [("READY", len(store["metrics"]["run"]), "run")]


def test_a_curve_goes_on_where_the_server_comes_back(
    server: MlflowServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_tracker, "_AGAIN_SECONDS", 0.2)
    warnings: list[str] = []
    tracker = Tracker(Place(server.address, "dspy-fusion losses", tmp_path / "run"), warnings.append)
    for step in range(60):
        if step == 20:
            death = server.kill_when("select count(*) from metrics", 5)
            tracker.tell(Told(metrics={"loss": 20.0}, step=step))
            death.join(timeout=60)
        elif step == 40:
            server.start()
        tracker.tell(Told(parameters={f"at {step}": step}, metrics={"loss": float(step)}, step=step, at=1000 + step))
    assert tracker.finish(Told(status="FINISHED")) != ""
    assert len(warnings) == 1
    assert "not tracked in MLflow" in warnings[0]
    store = held(server.address)
    assert store["points"] == {"run": [61]}
    assert len(store["parameters"]["run"]) == 60
    server.stop(signal.SIGTERM)
