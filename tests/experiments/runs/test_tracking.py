from __future__ import annotations

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from dspy_fusion.experiments.runs.tracking import connect

MAKE = (
    "import sys; from dspy_fusion.experiments.runs.tracking import connect; connect(sys.argv[1]).search_experiments()"
)


def test_a_process_that_is_killed_while_it_makes_the_database_spoils_nothing(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    process = subprocess.Popen([sys.executable, "-c", MAKE, uri])
    while process.poll() is None and not [file for file in tmp_path.rglob("*.db") if file.stat().st_size > 8192]:
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert len(connect(uri).search_experiments()) == 1


def test_processes_that_begin_together_share_a_database(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path / 'deep' / 'mlflow.db'}"
    with ThreadPoolExecutor(2) as threads:
        runs = list(threads.map(lambda _: subprocess.run([sys.executable, "-c", MAKE, uri], check=False), range(2)))
    assert [run.returncode for run in runs] == [0, 0]
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
