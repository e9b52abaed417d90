"""The real command on the embedded models: a study from end to end, continued, shared, killed,
and told to MLflow later.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import dspy
import pytest

from dspy_fusion.experiments.__main__ import main
from dspy_fusion.experiments.records.outbox import Outbox
from dspy_fusion.experiments.runs.tuning import prepare_tuning
from dspy_fusion.experiments.runs.tuning_config import TuningConfig
from dspy_fusion.optimizers import TuningReport
from dspy_fusion.serving.catalogue.models import load_models
from dspy_fusion.serving.embedded import embedded_model

WEIGHTS = Path(embedded_model.__file__).with_name("weights")
CONFIG = """
task = "worksheets"
trials = 2
examples = 4
held_out = 3
exclude = ["temperature", "fusor_temperature"]

[program]
program = "fusion"
pool = "embedded/plus"
n = 2
"""
needs_weights = pytest.mark.skipif(
    not (WEIGHTS / "plus.safetensors").exists(), reason=f"the embedded weights are not in {WEIGHTS}"
)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "tune.toml").write_text(CONFIG)
    return tmp_path / "tune.toml"


def start(config: Path, *options: str, uri: str = "") -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "dspy_fusion.experiments", "tune", str(config), "--out", "run", *options]
    around = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}  # other tests set it
    environment = {**around, **({"MLFLOW_TRACKING_URI": uri} if uri else {})}
    return subprocess.Popen(
        command, cwd=config.parent, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )


def run(config: Path, *options: str, uri: str = "") -> tuple[str, str]:
    process = start(config, *options, uri=uri)
    said, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    return said, errors


def report_of(config: Path) -> TuningReport:
    return TuningReport.load(config.parent / "run" / "tuning_report.json")


def children(store: Path) -> tuple[list[str], set[str]]:
    """The parent runs of a store, and the trials of their children."""
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{store}")
    found = client.search_runs([item.experiment_id for item in client.search_experiments()])
    trials = {run.data.tags["dspy_fusion.trial"] for run in found if "mlflow.parentRunId" in run.data.tags}
    return [run.info.run_id for run in found if "mlflow.parentRunId" not in run.data.tags], trials


@needs_weights
def test_a_study_runs_from_end_to_end_and_goes_on_as_the_same_run(config: Path) -> None:
    said, errors = run(config)
    assert "2/2 trials" in errors
    assert "saved by the bank" in errors
    assert "that no trial saw" in said
    parents, trials = children(config.parent / "mlflow.db")
    assert (len(parents), len(trials)) == (1, 2)
    run(config, "--trials", "4", "--workers", "2")
    assert len(report_of(config).trials) == 4
    assert children(config.parent / "mlflow.db") == (parents, {str(trial.number) for trial in report_of(config).trials})
    assert {path.name for path in (config.parent / "run" / "plots").glob("*.png")} >= {"course.png", "pareto.png"}


@needs_weights
def test_the_tuned_program_loads_into_a_new_one(config: Path) -> None:
    run(config, "--no-tracking")
    tuning: Any = prepare_tuning(TuningConfig.read(config), load_models())
    tuning.program.load(config.parent / "run" / "program.json")
    with dspy.context(adapter=tuning.task.adapter()):
        assert tuning.program(**tuning.examples[0].inputs()).answers


@needs_weights
def test_how_the_models_are_asked_is_tuned_from_a_configuration(config: Path) -> None:
    asked = 'trials = 3\nadapters = ["chat"]\nreasoning = ["60 tokens"]\n'
    config.write_text(CONFIG.replace("trials = 2\n", asked))
    run(config, "--no-tracking")
    settings = [trial.setting for trial in report_of(config).trials]
    assert {"adapter", "reasoning"} <= set(settings[0])
    assert settings[0]["reasoning"] is None
    config.write_text(CONFIG.replace("trials = 2\n", asked.replace("60 tokens", "much")))
    process = start(config, "--no-tracking")
    _, errors = process.communicate(timeout=300)
    assert process.returncode != 0
    assert "the part 'much', which means nothing" in errors


@needs_weights
def test_a_killed_command_goes_on_and_a_dead_server_is_told_later(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        dead = f"http://127.0.0.1:{reserved.getsockname()[1]}"
        process = start(config, "--trials", "6", uri=dead)
        outbox = Outbox(config.parent / "run" / "outbox.jsonl")
        while len(outbox.messages()) < 2 and process.poll() is None:
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        _, errors = run(config, "--trials", "6", uri=dead)
    assert "dspy-fusion sync run" in errors
    assert len(report_of(config).trials) == 6
    command = [sys.executable, "-m", "dspy_fusion.experiments", "sync", "run"]
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    still_dead = subprocess.run(command, cwd=config.parent, capture_output=True, text=True)
    assert f"cannot write to MLflow at {dead}" in still_dead.stderr
    command += ["--tracking-uri", "sqlite:///mlflow.db"]
    synced = subprocess.run(command, cwd=config.parent, capture_output=True, text=True, check=True)
    assert "6 trials written" in synced.stdout
    assert len(children(config.parent / "mlflow.db")[1]) == 6


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        ("", ["--workers", "0"], "--workers must be at least 1, but got 0"),
        ("", ["--trials", "0"], "trials must be at least 1, but got trials=0"),
        ("", ["--storage", "nonsense"], "cannot open the storage 'nonsense'"),
        ("trails = 3", [], "unknown key 'trails'"),
        ('proposer = "nobody"', [], "no model is called 'nobody'"),
        ('objectives = ["cost"]', [], "objectives must be ('quality',), ('quality', 'cost') or"),
        ('split = "dev"', [], "there is no split 'dev'"),
    ],
)
@needs_weights
def test_mistakes_are_one_line(
    config: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    change: str,
    options: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(config.parent)
    config.write_text(f"{change}\n{CONFIG}")
    assert main(["tune", str(config), "--no-tracking", *options]) == 2
    assert message in capsys.readouterr().err.splitlines()[-1]


def test_a_folder_without_a_run_cannot_be_told_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sync", str(tmp_path)]) == 2
    assert "holds no run that MLflow can be told of" in capsys.readouterr().err
    (tmp_path / "tuning.json").write_text(json.dumps({"config": {}}))
    assert main(["sync", str(tmp_path)]) == 2
    assert "cannot be read" in capsys.readouterr().err
