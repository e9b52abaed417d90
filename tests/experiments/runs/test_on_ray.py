"""Comparisons and diagnoses on a local Ray: the same records as in this process, resumed, errors as they are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dspy
import pytest

from dspy_fusion import ConfigurationError, Fusion, PlainAdapter, Vote, compare, diagnose, embedded_lm
from dspy_fusion.experiments.__main__ import main
from dspy_fusion.experiments.runs.run_folder import read_run

SHEETS = [
    {"worksheet": f"(a) {n} + 1\n(b) {n} - 1", "answers": f"(a) {n} + 1 = {n + 1}\n(b) {n} - 1 = {n - 1}"}
    for n in range(10, 14)
]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    ray: Any = pytest.importorskip("ray")
    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False)
    yield ray
    ray.shutdown()


def share(example: dspy.Example, prediction: dspy.Prediction) -> float:
    lines = set(str(prediction.answers).splitlines())
    return sum(line in lines for line in example.answers.splitlines()) / 2


def programs() -> dict[str, dspy.Module]:
    solve = dspy.Predict("worksheet -> answers")
    lms = [embedded_lm("plus"), embedded_lm("minus")]
    return {"vote": Vote(solve, n=2, lms=lms), "fused": Fusion(solve, n=2, lms=lms, fusor_lm=embedded_lm("aft"))}


def plain(records: Any) -> set[tuple[Any, ...]]:
    return {(r.example, r.strategy, r.score, r.answer, r.total, len(r.candidates)) for r in records}


def test_records_are_those_of_this_process_and_nothing_is_done_twice(cluster: Any, tmp_path: Path) -> None:
    options = {"inputs": ["worksheet"], "output": "answers", "adapter": PlainAdapter(), "tracking": False}
    options |= {"progress": False, "max_concurrency": 4}
    here = compare(programs(), SHEETS, share, out=tmp_path / "here", **options)
    there = compare(programs(), SHEETS, share, out=tmp_path / "there", engine="ray", **options)
    assert plain(here.records) == plain(there.records)
    assert len(there.records) == 8
    lines = (tmp_path / "there" / "records.jsonl").read_text()
    compare(programs(), SHEETS, share, out=tmp_path / "there", engine="ray", **options)
    assert (tmp_path / "there" / "records.jsonl").read_text() == lines
    look = diagnose(programs()["vote"], SHEETS, share, out=tmp_path / "look", engine="ray", **options)
    assert [len(question.candidates) for question in look.questions] == [2] * 4


def test_a_task_of_the_library_is_loaded_where_the_work_is_done(
    cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    asked = ["--task", "worksheets", "--models", "plus", "--fusor", "aft", "--examples", "2", "--n", "2"]
    assert main(["compare", *asked, "--no-tracking", "--engine", "ray", "--out", "run"]) == 0
    assert {"oracle", "fusion"} <= {record.strategy for record in read_run(Path("run")).records}
    capsys.readouterr()


def test_a_metric_that_gives_text_is_the_same_clear_line(cluster: Any, tmp_path: Path) -> None:
    options = {"inputs": ["worksheet"], "output": "answers", "adapter": PlainAdapter(), "tracking": False}
    with pytest.raises(ConfigurationError, match="the metric returned 'good', a str"):
        compare(programs(), SHEETS, lambda e, p: "good", out=tmp_path, engine="ray", progress=False, **options)
