from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from forking import Forker

from dspy_fusion.experiments.runs.tracking import connect

MAKE = (
    "import sys; from dspy_fusion.experiments.runs.tracking import connect; connect(sys.argv[1]).search_experiments()"
)


def test_a_process_that_is_killed_while_it_makes_the_database_spoils_nothing(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    process = subprocess.Popen([sys.executable, "-c", MAKE, uri], env={**os.environ, "TMPDIR": str(tmp_path)})
    while process.poll() is None and not [file for file in tmp_path.rglob("*.db") if file.stat().st_size > 8192]:
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert len(connect(uri).search_experiments()) == 1


def test_processes_that_begin_together_share_a_database(tmp_path: Path, forker: Forker) -> None:
    uri = f"sqlite:///{tmp_path / 'deep' / 'mlflow.db'}"
    runs = [forker.start("-c", MAKE, uri) for _ in range(2)]
    assert [run.wait(120) for run in runs] == [0, 0]
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["mlflow.db"]


BOTH = """
import sys, threading
from pathlib import Path
import dspy
from dspy_fusion.experiments.runs.logged_models import save_models
from dspy_fusion.experiments.runs.tracking import connect
thread = threading.Thread(target=connect, args=(sys.argv[1],))
thread.start()
save_models(Path(sys.argv[2]), {"one": dspy.Predict("question -> answer")}, print)
thread.join()
"""


def test_a_model_is_saved_while_the_store_is_connected_for_the_first_time(tmp_path: Path) -> None:
    command = [sys.executable, "-c", BOTH, f"sqlite:///{tmp_path / 'mlflow.db'}", str(tmp_path)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout) == (0, "")
    assert "Traceback" not in run.stderr
    assert (tmp_path / "models" / "one" / "MLmodel").is_file()


def test_each_database_keeps_what_is_no_runs_own_in_its_own_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = []
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        (default,) = connect(f"sqlite:///{tmp_path / name / 'mlflow.db'}").search_experiments()
        places.append(default.artifact_location)
    assert places == [str(tmp_path / name / "mlruns" / "0") for name in ("one", "other")]
