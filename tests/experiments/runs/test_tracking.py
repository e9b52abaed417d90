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
