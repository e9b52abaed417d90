"""What users of MLflow see of a comparison in its own pages: runs side by side, parallel coordinates, traces, a model.

Needs the full ``mlflow``, whose command ``MLFLOW_COMMAND`` may name, and a Chromium.
"""

from __future__ import annotations

import importlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dspy
import pytest
from chromium import Page, needs_chromium
from mlflow_server import MlflowServer, needs_mlflow_server

from dspy_fusion import Fusion, Vote, compare

scripted = importlib.import_module("conftest")
pytestmark = [pytest.mark.long, needs_chromium, needs_mlflow_server]
ROWS = [dspy.Example(question=f"{n} + 1", answer=str(n + 1)).with_inputs("question") for n in range(8)]
AXES = "[...document.querySelectorAll('.js-plotly-plot .axis-title')].map(axis => axis.textContent).join('|')"
TEXT = "document.body ? document.body.innerText : ''"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Any]:
    """A comparison of three programs of which two err on some sums, tracked in a store of its own."""
    folder = tmp_path_factory.mktemp("mlflow")

    def add(request: Any) -> dict[str, str]:
        text = next(line for line in scripted.prompt_of(request).splitlines() if " + " in line).strip()
        first, second = (int(part) for part in text.split(" + "))
        return {"answer": str(first + second + (first % 3 == 0))}

    lm = scripted.ScriptedLM(add, name="scripted/adder")
    solve, uri = dspy.Predict("question -> answer"), f"sqlite:///{folder / 'mlflow.db'}"
    with dspy.context(lm=lm):
        programs = {"one": solve, "vote": Vote(solve, n=2), "fused": Fusion(solve, n=2, lms=[lm], fusor_lm=lm)}
        right = lambda example, prediction: prediction.answer == example.answer  # noqa: E731
        compare(programs, ROWS, right, out=folder / "run", tracking_uri=uri, progress=False)
    return uri, folder


@pytest.fixture(scope="module")
def address(store: tuple[str, Any]) -> Iterator[str]:
    """The pages of MLflow on this machine, until the tests are over."""
    server = MlflowServer(store[1], store[0])
    server.start()
    yield server.address
    server.stop()


def seen(page: Page, *texts: str, seconds: float = 60.0, question: str = TEXT) -> str:
    """What a page says once it says all of these, or what it says when the time is over."""
    end = time.monotonic() + seconds
    while not all(text in (said := str(page.evaluate(question))) for text in texts) and time.monotonic() < end:
        time.sleep(0.5)
    return said


def runs_of(uri: str) -> tuple[str, dict[str, str]]:
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    (experiment,) = [item for item in client.search_experiments() if item.name == "dspy-fusion own"]
    runs = client.search_runs([experiment.experiment_id])
    return experiment.experiment_id, {str(run.info.run_name): run.info.run_id for run in runs}


def kept(name: str, tmp_path: Path) -> Path:
    """Where a picture is kept for whoever wants to look at it."""
    folder = Path(os.environ.get("DSPY_FUSION_PICTURES", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    return folder / name


def test_runs_are_compared_with_parallel_coordinates(store: tuple[str, Any], address: str, tmp_path: Path) -> None:
    experiment, runs = runs_of(store[0])
    chosen = json.dumps([runs[name] for name in ("one", "vote", "fused")])
    with Page(f"{address}/#/compare-runs?runs={chosen}&experiments=[%22{experiment}%22]", height=2600) as page:
        said = seen(page, "Parallel Coordinates Plot", "fused", "cost_usd")
        axes = seen(page, "instruction_digest", question=AXES)
        page.screenshot(kept("compare-runs.png", tmp_path))
    assert "Parallel Coordinates Plot" in said
    assert {"depth", "fusor", "instruction_digest", "score"} <= set(axes.split("|"))
    for text in ("one", "vote", "fused", "beta", "calls", "cost_usd", "n", "program", "temperature"):
        assert text in said, text


def test_the_list_of_runs_has_a_child_a_strategy(store: tuple[str, Any], address: str, tmp_path: Path) -> None:
    experiment, _ = runs_of(store[0])
    with Page(f"{address}/#/experiments/{experiment}/evaluation-runs", height=900) as page:
        said = seen(page, "fused", "score_low")
        page.screenshot(kept("runs.png", tmp_path))
    for text in ("dspy-fusion own", "own test", "fused", "score", "score_low", "score_high"):
        assert text in said, text


def test_an_answers_trace_shows_its_candidates(store: tuple[str, Any], address: str, tmp_path: Path) -> None:
    experiment, runs = runs_of(store[0])
    with Page(f"{address}/#/experiments/{experiment}/runs/{runs['fused']}/traces", height=900) as page:
        said = seen(page, "fused", "5 + 1")
        page.screenshot(kept("traces.png", tmp_path))
    assert "5 + 1" in said
