from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from dspy_fusion.experiments.runs.run_file import write_whole


def test_those_that_write_at_once_leave_one_whole_file_and_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda n: write_whole(path, {"who": n, "long": "x" * 50_000}), range(100)))
    assert len(json.loads(path.read_text())["long"]) == 50_000
    assert list(tmp_path.iterdir()) == [path]
