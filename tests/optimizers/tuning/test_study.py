"""Studies of several processes, and of killed ones, on SQLite and on a real PostgreSQL from the system's packages."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from postgresql_server import postgresql_server
from tuning_problem import EXAMPLES

from dspy_fusion.optimizers import TuningReport

SCRIPT = Path(__file__).parents[2] / "tuning_problem.py"
StartWorker = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start_worker(tmp_path: Path) -> Iterator[StartWorker]:
    """Starts a worker of a study; see ``tuning_problem.worker``."""
    started = []

    def start(storage: str, name: str, kill_at: int = -1) -> subprocess.Popen[str]:
        command = [sys.executable, str(SCRIPT), storage, str(tmp_path), name, str(kill_at)]
        started.append(subprocess.Popen(command, stderr=subprocess.PIPE, text=True))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    with postgresql_server() as url:
        yield url


def rows(url: str) -> int:
    """How many outcomes a storage keeps, of all programs together."""
    with sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:")).connect() as connection:
        return connection.scalar(sa.text("select count(*) from dspy_fusion_scores")) or 0


def lines(*logs: Path) -> int:
    return sum(len(log.read_text().splitlines()) for log in logs)


def finish(process: Any) -> None:
    _, errors = process.communicate(timeout=400)
    assert process.returncode == 0, errors


def essence(report: TuningReport) -> list[Any]:
    """What trials were made, without their numbers: a trial that is taken up gets a new one."""
    return [(trial.setting, trial.state, trial.quality, trial.cost, trial.scored) for trial in report.trials]


@pytest.mark.parametrize("kills", [(5,), (30,), (34, 45, 47)], ids=["in the baseline", "in a trial", "again and again"])
def test_a_killed_study_goes_on_as_if_nothing_had_happened(
    tmp_path: Path, start_worker: StartWorker, kills: tuple[int, ...]
) -> None:
    undisturbed = start_worker(f"sqlite:///{tmp_path / 'undisturbed.db'}", "undisturbed")
    url = f"sqlite:///{tmp_path / 'killed.db'}"
    for kill_at in kills:
        process = start_worker(url, "killed", kill_at)
        process.communicate(timeout=400)
        assert process.returncode == -signal.SIGKILL
    finish(start_worker(url, "killed"))
    finish(undisturbed)
    expected, found = (TuningReport.load(tmp_path / f"{name}.json") for name in ("undisturbed", "killed"))
    assert essence(found) == essence(expected)
    assert found.after == expected.after
    assert lines(tmp_path / "killed.log") == rows(url) == lines(tmp_path / "undisturbed.log")


def test_two_processes_share_a_study(tmp_path: Path, start_worker: StartWorker) -> None:
    shared(f"sqlite:///{tmp_path / 'shared.db'}", tmp_path, start_worker)


def test_two_processes_share_a_study_on_postgresql(tmp_path: Path, start_worker: StartWorker, postgresql: str) -> None:
    shared(postgresql, tmp_path, start_worker)


def test_a_killed_workers_trial_is_taken_up_by_the_other(tmp_path: Path, start_worker: StartWorker) -> None:
    url = f"sqlite:///{tmp_path / 'shared.db'}"
    mortal, other = start_worker(url, "mortal", 14), start_worker(url, "other")
    mortal.communicate(timeout=400)
    finish(other)
    report = TuningReport.load(tmp_path / "other.json")
    assert len(report.trials) == 6
    assert all(trial.state in ("whole", "dropped") for trial in report.trials)
    assert lines(*tmp_path.glob("*.log")) == rows(url)


def shared(url: str, folder: Path, start_worker: StartWorker) -> None:
    """Two workers make six trials in all, none of them twice, and no example is scored twice."""
    for process in [start_worker(url, "one"), start_worker(url, "two")]:
        finish(process)
    one, two = (TuningReport.load(folder / f"{name}.json") for name in ("one", "two"))
    assert len(one.trials) == 6
    assert one.trials == two.trials
    assert {trial.scored for trial in one.trials if trial.state == "whole"} == {len(EXAMPLES) * 2 // 3}
    assert lines(*folder.glob("*.log")) == rows(url)
