"""The real command, from examples to a trained model and an MLflow run; needs the extra ``finetune``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dspy_fusion.experiments.__main__ import main
from dspy_fusion.experiments.runs.tracking import connect

CONFIG = """
task = "worksheets"
base = "embedded/aft"
examples = 8
held_out = 2
draws = 3
keep = 2
program = { program = "fusion", pool = "embedded/aft", fusor = "embedded/aft", n = 2 }
training = { lora = false, batch_size = 4, micro_batch = 4, log_every = 1, threads = 1, device = "cpu" }
"""


def test_a_training_leaves_a_model_and_an_mlflow_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("trl", reason="trl is not installed: pip install 'dspy-fusion[finetune]'")
    (tmp_path / "finetune.toml").write_text(CONFIG)
    out = tmp_path / "runs" / "tiny"
    assert main(["finetune", str(tmp_path / "finetune.toml"), "--out", str(out)]) == 0
    shown = capsys.readouterr().out
    assert "8 rows, 2 steps, loss" in shown
    assert "fused by the trained model" in shown
    assert (out / "model" / "model.safetensors").exists()
    known = json.loads((out / "mlflow.json").read_text())
    client = connect(known["uri"])
    assert client.get_run(known["run_id"]).data.params["training.batch_size"] == "4"
    assert [point.step for point in client.get_metric_history(known["run_id"], "loss")] == [1, 2]
    assert {"report.json", "curve.jsonl"} <= {artifact.path for artifact in client.list_artifacts(known["run_id"])}
