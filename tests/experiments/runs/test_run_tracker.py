"""A real MLflow store: runs, the runs below them, curves, what waits for a server, and what was told before."""

from __future__ import annotations

import json
import shutil
import socket
import threading
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from dspy_fusion.experiments.records.outbox import Told, parameters_of, trial_told
from dspy_fusion.experiments.runs.run_folder import RunFolder
from dspy_fusion.experiments.runs.run_tracker import Tracker
from dspy_fusion.experiments.runs.run_writer import MlflowWriter, Place
from dspy_fusion.experiments.runs.tracking import connect, default_uri, experiment_id, without_password
from dspy_fusion.optimizers import Interval, TrialReport

HALF = Interval(0.5, 0.4, 0.6, 20)
TRIALS = (
    TrialReport(0, "whole", {"n": 2, "instruction:fusor": 1}, HALF, 30.0, 20),
    TrialReport(1, "dropped", {"n": 1, "instruction:fusor": 0}, HALF, 10.0, 8),
    TrialReport(2, "failed", {"n": 3, "instruction:fusor": 0}, None, 0.0, 0, "the metric raised ValueError"),
)
CAREFUL = {"fusor": "Be careful."}


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with MLflow's tables, made once because that takes seconds."""
    path = tmp_path_factory.mktemp("mlflow") / "empty.db"
    connect(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def place(empty_store: Path, tmp_path: Path) -> Place:
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    folder = tmp_path / "run"
    (folder / "plots").mkdir(parents=True)
    (folder / "plots" / "course.png").write_bytes(b"png")
    (folder / "records.jsonl").write_text("{}\n")
    return Place(f"sqlite:///{tmp_path / 'mlflow.db'}", "e", folder)


def runs(place: Place) -> tuple[Any, dict[str, Any]]:
    """The run, and those below it by name."""
    client = connect(place.uri)
    experiment = client.get_experiment_by_name("e")
    assert experiment is not None
    found = client.search_runs([experiment.experiment_id])
    (parent,) = (run for run in found if "mlflow.parentRunId" not in run.data.tags)
    below = {str(run.info.run_name): run for run in found if run is not parent}
    assert len(below) == len(found) - 1
    return parent, below


def test_a_run_is_told_with_its_files_and_goes_on_as_the_same_run(place: Place) -> None:
    end = Told(
        parameters={"task": "worksheets"},
        metrics={"fusion/score": 0.5},
        tags={"verdict": "better"},
        files=("records.jsonl", "plots", "not there"),
        status="FINISHED",
    )
    first = Tracker(place, pytest.fail).finish(end)
    again = Tracker(place, pytest.fail)
    again.tell(Told(parameters={"task": "another", "more": 1}))
    assert again.finish(end) == first != ""
    run = runs(place)[0]
    assert (run.info.status, run.data.metrics["fusion/score"], run.data.tags["verdict"]) == ("FINISHED", 0.5, "better")
    assert run.data.params == {"task": "worksheets", "more": "1"}
    kept = place.folder.parent / "mlartifacts" / first / "artifacts"
    assert {path.name for path in kept.iterdir()} == {"records.jsonl", "plots"}


def test_points_of_a_curve_are_told_once_however_often_a_run_goes_on(place: Place) -> None:
    for step in (1, 2):
        tracker = Tracker(place, pytest.fail)
        tracker.tell(Told(metrics={"loss": 1.0 / step}, step=step))
        run_id = tracker.finish(Told(metrics={"rows": 3}, status="FINISHED"))
    MlflowWriter(place).write()
    RunFolder(place.folder).tracking.unlink()  # what was told before is told again, and counts once
    assert MlflowWriter(place).write() == run_id
    history = connect(place.uri).get_metric_history(run_id, "loss")
    assert [(point.step, point.value) for point in history] == [(1, 1.0), (2, 0.5)]


def test_trials_are_runs_below_the_run(place: Place) -> None:
    tracker = Tracker(place, pytest.fail)
    for trial in TRIALS:
        tracker.tell(trial_told(asdict(trial), CAREFUL))
    run_id = tracker.finish(Told(metrics={"gain_low": 0.4}, prompts=CAREFUL, status="FINISHED"))
    parent, below = runs(place)
    assert (parent.info.run_id, parent.info.status, parent.data.metrics["gain_low"]) == (run_id, "FINISHED", 0.4)
    assert [below[f"trial {n}"].info.status for n in range(3)] == ["FINISHED", "FINISHED", "FAILED"]
    whole, failed = below["trial 0"], below["trial 2"]
    assert (whole.data.params["n"], whole.data.metrics["quality_high"]) == ("2", 0.6)
    assert (whole.data.params["instruction_fusor"], whole.data.tags["dspy_fusion.trial"]) == ("1", "0")
    assert "ValueError" in failed.data.tags["cause"]
    client = connect(place.uri)
    assert [item.path for item in client.list_artifacts(whole.info.run_id, "instructions")] == [
        "instructions/fusor.txt"
    ]
    prompt = client.load_prompt("prompts:/e-fusor@latest")
    assert prompt is not None
    assert (prompt.template, prompt.version) == ("Be careful.", 1)
    dropped = below["trial 1"].data
    assert "quality" not in dropped.metrics
    assert dropped.metrics["partial_quality"] <= dropped.metrics["partial_quality_high"]
    for run in (parent, whole, failed):
        assert json.loads(run.data.tags["mlflow.linkedPrompts"]) == [{"name": "e-fusor", "version": "1"}]


def test_each_text_is_one_version_of_a_prompt_whichever_trial_it_is_of(place: Place) -> None:
    tracker = Tracker(place, pytest.fail)
    for number, text in enumerate(["Be careful.", "Be bold.", "Be careful."]):
        tracker.tell(Told(run=f"trial {number}", prompts={"fusor": text}, status="FINISHED"))
    tracker.finish(Told(status="FINISHED"))
    links = [json.loads(run.data.tags["mlflow.linkedPrompts"])[0]["version"] for run in runs(place)[1].values()]
    assert sorted(links) == ["1", "1", "2"]


def test_what_an_older_study_left_in_its_outbox_is_told_too(place: Place) -> None:
    for trial in TRIALS[:2]:
        place.outbox.put({"trial": asdict(trial), "instructions": CAREFUL})
    writer = MlflowWriter(place)
    writer.write(closing=True)
    assert (writer.children, sorted(runs(place)[1])) == (2, ["trial 0", "trial 1"])
    assert runs(place)[0].info.status == "KILLED"


def test_a_trial_that_was_begun_or_told_is_not_written_twice(place: Place) -> None:
    place.outbox.put(asdict(trial_told(asdict(TRIALS[1]), {})))
    parent = MlflowWriter(place).write()
    connect(place.uri).update_run(runs(place)[1]["trial 1"].info.run_id, status="RUNNING")
    RunFolder(place.folder).tracking.unlink()
    assert MlflowWriter(place).write() == parent
    assert runs(place)[1]["trial 1"].info.status == "FINISHED"
    again = MlflowWriter(place)
    assert again.write() == parent
    assert again.written == 0


def test_two_machines_that_work_on_one_study_tell_each_trial_once(place: Place, tmp_path: Path) -> None:
    places = [replace(place, key="a study", folder=tmp_path / name) for name in ("here", "there")]
    writers = [MlflowWriter(each) for each in places]
    for each, writer in zip(places, writers, strict=True):
        each.folder.mkdir()
        each.outbox.put(asdict(Told(parameters={"trials": 3})))
        writer.write()
    for each, writer in zip(places, writers, strict=True):
        for trial in TRIALS:
            each.outbox.put(asdict(trial_told(asdict(trial), CAREFUL)))
        writer.write()
    _, below = runs(place)
    assert sorted(below) == ["trial 0", "trial 1", "trial 2"]


def test_an_experiment_that_another_process_makes_meanwhile_is_taken(place: Place) -> None:
    mine, other = connect(place.uri), connect(place.uri)
    looks_up = mine.get_experiment_by_name

    def look_up(name: str) -> Any:
        found = looks_up(name)
        if found is None:
            other.create_experiment(name)
        return found

    mine.get_experiment_by_name = look_up
    taken = experiment_id(mine, place.uri, "e", place.folder)
    assert other.get_experiment(taken).name == "e"


def test_without_tracking_everything_waits_and_is_told_later(place: Place) -> None:
    tracker = Tracker(place, pytest.fail, connected=False)
    tracker.tell(Told(metrics={"loss": 0.5}, step=1))
    assert tracker.finish(Told(parameters={"a": "b"}, status="FINISHED")) == ""
    assert json.loads(RunFolder(place.folder).tracking.read_text())["experiment"] == "e"
    MlflowWriter(place).write()
    run = runs(place)[0]
    assert (run.data.metrics["loss"], run.data.params, run.info.status) == (0.5, {"a": "b"}, "FINISHED")


def test_another_store_is_told_everything(place: Place, empty_store: Path) -> None:
    Tracker(place, pytest.fail).finish(Told(metrics={"a": 1.0}, status="FINISHED"))
    shutil.copy(empty_store, place.folder.parent / "other.db")
    other = Place(f"sqlite:///{place.folder.parent / 'other.db'}", "e", place.folder)
    assert MlflowWriter(other).write() != ""
    assert runs(other)[0].data.metrics == {"a": 1.0}


def test_a_dead_server_is_named_once_and_what_it_missed_waits(place: Place) -> None:
    warnings: list[str] = []
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        dead = Place(f"http://u:secret@127.0.0.1:{reserved.getsockname()[1]}", "e", place.folder)
        tracker = Tracker(dead, warnings.append)
        tracker.tell(Told(metrics={"loss": 0.5}))
        assert tracker.finish(Told(status="FINISHED")) == ""
    (warning,) = warnings
    assert warning.startswith("not tracked in MLflow (http://127.0.0.1:")
    assert warning.endswith(f"later: dspy-fusion sync {place.folder}")
    assert "secret" not in warning + RunFolder(place.folder).tracking.read_text()
    MlflowWriter(place).write()
    assert runs(place)[0].data.metrics == {"loss": 0.5}


@pytest.fixture
def silent_server() -> Iterator[str]:
    """Takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken: list[socket.socket] = []
        threading.Thread(target=lambda: taken.append(server.accept()[0]), daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        for connection in taken:
            connection.close()


def test_silent_server_is_left_behind(silent_server: str, tmp_path: Path) -> None:
    warnings: list[str] = []
    tracker = Tracker(Place(silent_server, "e", tmp_path), warnings.append)
    assert tracker.finish(Told(), timeout_seconds=0.5) == ""
    assert "no answer within 0.5 s" in warnings[0]


def test_runs_of_one_place_share_a_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert default_uri(RunFolder(tmp_path / "run")) == f"sqlite:///{tmp_path / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    assert default_uri(RunFolder(tmp_path / "run")) == "http://127.0.0.1:5000"


def test_passwords_are_not_shown() -> None:
    assert without_password("http://user:secret@host:5000/x") == "http://host:5000/x"
    assert without_password("sqlite:////tmp/mlflow.db") == "sqlite:////tmp/mlflow.db"


def test_parameters_are_one_per_leaf() -> None:
    assert parameters_of({"a": 1, "b": {"c": "x", "d": None}, "e": ["f"]}) == {"a": 1, "b.c": "x", "e": '["f"]'}
