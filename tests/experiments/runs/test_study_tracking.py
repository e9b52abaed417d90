from __future__ import annotations

import shutil
import socket
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from dspy_fusion.experiments.records.outbox import Outbox
from dspy_fusion.experiments.runs.study_tracking import StudyPlace, StudyTracker, StudyWriter, tracking_parameters
from dspy_fusion.experiments.runs.tuning_folder import TuningFolder
from dspy_fusion.optimizers import Interval, TrialReport, TuningReport
from dspy_fusion.programs import Usage

HALF = Interval(0.5, 0.4, 0.6, 20)
TRIALS = (
    TrialReport(0, "whole", {"n": 2, "instruction:fusor": 1}, HALF, 30.0, 20),
    TrialReport(1, "dropped", {"n": 1, "instruction:fusor": 0}, HALF, 10.0, 8),
    TrialReport(2, "failed", {"n": 3, "instruction:fusor": 0}, None, 0.0, 0, "the metric raised ValueError"),
)


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with MLflow's tables, made once because that takes seconds."""
    from mlflow import MlflowClient

    path = tmp_path_factory.mktemp("mlflow") / "empty.db"
    MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def folder(tmp_path: Path) -> TuningFolder:
    folder = TuningFolder(tmp_path / "run")
    folder.plots.mkdir(parents=True)
    (folder.plots / "course.png").write_bytes(b"png")
    for path in (folder.about, folder.program):
        path.write_text("{}")
    for trial in TRIALS:
        Outbox(folder.outbox).put({"trial": asdict(trial), "instructions": {"fusor": "Be careful."}})
    return folder


@pytest.fixture
def place(folder: TuningFolder, empty_store: Path, tmp_path: Path) -> StudyPlace:
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    return StudyPlace(f"sqlite:///{tmp_path / 'mlflow.db'}", "e", "study-1", folder, {"task": "worksheets"})


def finish(folder: TuningFolder, trials: tuple[TrialReport, ...] = TRIALS) -> None:
    texts = {"fusor": (("Mine.", "own"), ("Be careful.", "given"))}
    spent, common = Usage(10, 100, 20), {"before": HALF, "after": HALF, "gain": HALF, "instructions": texts}
    report = TuningReport(
        "s",
        "sqlite://",
        trials,
        0,
        HALF,
        (0,),
        **common,
        **dict.fromkeys(("cost_before", "cost_after"), 1.0),
        spent=spent,
        replayed=spent,
        spent_cost=120.0,
        verdict="better",
    )
    report.save(folder.report)


def runs(place: StudyPlace) -> tuple[Any, dict[str, Any]]:
    """The parent run, and its children by trial."""
    from mlflow import MlflowClient

    client = MlflowClient(place.uri)
    experiment = client.get_experiment_by_name("e")
    assert experiment is not None
    found = client.search_runs([experiment.experiment_id])
    (parent,) = (run for run in found if "mlflow.parentRunId" not in run.data.tags)
    children = {run.data.tags["dspy_fusion.trial"]: run for run in found if run is not parent}
    assert len(children) == len(found) - 1
    return parent, children


def test_a_study_is_a_parent_with_a_child_per_trial(place: StudyPlace) -> None:
    from mlflow import MlflowClient

    finish(place.folder)
    StudyWriter(place).write(whole=True)
    parent, children = runs(place)
    assert (parent.info.status, parent.data.metrics["gain_low"], parent.data.tags["verdict"]) == (
        "FINISHED",
        0.4,
        "better",
    )
    assert [children[number].info.status for number in "012"] == ["FINISHED", "KILLED", "FAILED"]
    assert (children["0"].data.params["n"], children["0"].data.metrics["quality_high"]) == ("2", 0.6)
    assert "ValueError" in children["2"].data.tags["cause"]
    client = MlflowClient(place.uri)
    assert {item.path for item in client.list_artifacts(parent.info.run_id)} >= {
        "tuning_report.json",
        "program.json",
        "plots",
    }
    assert [item.path for item in client.list_artifacts(children["0"].info.run_id, "instructions")] == [
        "instructions/fusor.txt"
    ]


def test_writing_again_adds_only_what_is_missing(place: StudyPlace) -> None:
    from mlflow import MlflowClient

    finish(place.folder)
    first = StudyWriter(place).write(whole=True)
    Outbox(place.folder.outbox).put({"trial": {**asdict(TRIALS[0]), "number": 3}, "instructions": {}})
    again = StudyWriter(place)
    assert again.write(whole=True) == first
    assert again.written == 1
    assert len(runs(place)[1]) == 4
    prompt = MlflowClient(place.uri).load_prompt("prompts:/e-fusor@latest")
    assert prompt is not None
    assert (prompt.template, prompt.version) == ("Be careful.", 1)


def test_a_trial_that_was_begun_is_not_written_twice(place: StudyPlace) -> None:
    from mlflow import MlflowClient

    writer = StudyWriter(place)
    parent = writer.write(whole=False)
    client = MlflowClient(place.uri)
    client.update_run(runs(place)[1]["1"].info.run_id, status="RUNNING")
    assert StudyWriter(place).write(whole=False) == parent
    assert runs(place)[1]["1"].info.status == "KILLED"


def test_the_background_thread_writes_as_trials_end(place: StudyPlace) -> None:
    tracker = StudyTracker(place, pytest.fail)
    tracker.wake()
    finish(place.folder)
    assert tracker.finish() == runs(place)[0].info.run_id
    assert len(runs(place)[1]) == 3


def test_a_dead_server_is_named_once_and_its_trials_wait(place: StudyPlace, folder: TuningFolder) -> None:
    warnings: list[str] = []
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        dead = StudyPlace(f"http://u:secret@127.0.0.1:{reserved.getsockname()[1]}", "e", "study-1", folder, {})
        tracker = StudyTracker(dead, warnings.append)
        tracker.wake()
        finish(folder)
        assert tracker.finish() == ""
    (warning,) = warnings
    assert "dspy-fusion sync" in warning
    assert "secret" not in warning
    StudyWriter(place).write(whole=True)
    assert len(runs(place)[1]) == 3


def test_parameters_are_one_per_leaf() -> None:
    assert tracking_parameters({"a": 1, "b": {"c": "x", "d": None}, "e": ["f"]}) == {"a": 1, "b.c": "x", "e": '["f"]'}
