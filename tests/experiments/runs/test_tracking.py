from __future__ import annotations

import shutil
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from dspy_fusion.experiments.runs.run_folder import RunFolder
from dspy_fusion.experiments.runs.tracking import Tracked, Tracker, default_uri, without_password

TRACKED = Tracked({"task": "worksheets"}, {"fusion/score": 0.5}, (), finished=True)


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with MLflow's tables, made once because that takes seconds."""
    path = tmp_path_factory.mktemp("mlflow") / "empty.db"
    Tracker(f"sqlite:///{path}", experiment="none", folder=_folder(path.parent), warn=print).finish(TRACKED)
    return path


def _folder(parent: Path) -> RunFolder:
    folder = RunFolder(parent / "run")
    folder.path.mkdir(exist_ok=True)
    return folder


def test_run_is_written_and_continued(empty_store: Path, tmp_path: Path) -> None:
    from mlflow import MlflowClient

    uri, folder, warnings = f"sqlite:///{tmp_path / 'mlflow.db'}", _folder(tmp_path), []
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    (folder.path / "records.jsonl").write_text("{}\n")
    tracked = Tracked(TRACKED.parameters, TRACKED.metrics, [folder.path / "records.jsonl"], finished=True)
    first = Tracker(uri, experiment="e", folder=folder, warn=warnings.append).finish(tracked)
    second = Tracker(uri, experiment="e", folder=folder, warn=warnings.append).finish(tracked)
    run = MlflowClient(uri).get_run(first)
    assert not warnings
    assert (second, run.info.status, run.data.metrics["fusion/score"]) == (first, "FINISHED", 0.5)
    assert (tmp_path / "mlartifacts" / first / "artifacts" / "records.jsonl").exists()


def test_refusing_server_is_named_once_and_left_alone(tmp_path: Path) -> None:
    warnings: list[str] = []
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        tracker = Tracker(
            f"http://u:secret@127.0.0.1:{reserved.getsockname()[1]}",
            experiment="e",
            folder=_folder(tmp_path),
            warn=warnings.append,
        )
        assert tracker.finish(TRACKED) == ""
    (warning,) = warnings
    assert warning.startswith("not tracked in MLflow (http://127.0.0.1:")
    assert "secret" not in warning


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
    tracker = Tracker(silent_server, experiment="e", folder=_folder(tmp_path), warn=warnings.append)
    assert tracker.finish(TRACKED, timeout_seconds=0.5) == ""
    assert "no answer within 0.5 s" in warnings[0]


def test_runs_of_one_place_share_a_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert default_uri(RunFolder(tmp_path / "run")) == f"sqlite:///{tmp_path / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    assert default_uri(RunFolder(tmp_path / "run")) == "http://127.0.0.1:5000"


def test_passwords_are_not_shown() -> None:
    assert without_password("http://user:secret@host:5000/x") == "http://host:5000/x"
    assert without_password("sqlite:////tmp/mlflow.db") == "sqlite:////tmp/mlflow.db"
