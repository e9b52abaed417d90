"""The real command, from examples to a trained model and an MLflow run; needs the extra ``finetune``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dspy_fusion.experiments.__main__ import main
from dspy_fusion.experiments.runs.tracking import connect
from dspy_fusion.experiments.tasks import load_task
from dspy_fusion.optimizers.finetuning import read_training_rows

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
    assert "trained fusing - base fusing" in shown
    assert (out / "model" / "model.safetensors").exists()
    known = json.loads((out / "mlflow.json").read_text())
    client = connect(known["uri"])
    assert client.get_run(known["run_id"]).data.params["training.batch_size"] == "4"
    assert [point.step for point in client.get_metric_history(known["run_id"], "loss")] == [1, 2]
    assert {"report.json", "curve.jsonl"} <= {artifact.path for artifact in client.list_artifacts(known["run_id"])}


def finetuned(folder: Path, config: str, *further: str) -> int:
    pytest.importorskip("trl", reason="trl is not installed: pip install 'dspy-fusion[finetune]'")
    (folder / "finetune.toml").write_text(config)
    return main(["finetune", str(folder / "finetune.toml"), "--out", str(folder / "run"), "--no-tracking", *further])


def test_like_is_compared_with_like_and_measured_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = 'objective = "no_proposals"\nseeds = 2\n' + CONFIG
    assert finetuned(tmp_path, config) == 0
    shown = capsys.readouterr().out
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    said = report["measured"]
    assert list(said["arms"]) == ["base alone", "base fusing", "trained alone", "trained fusing"]
    for one, other in (("trained alone", "base alone"), ("trained fusing", "base fusing")):
        change = said["differences"][f"{one} - {other}"]
        assert change["mean"] == pytest.approx(said["arms"][one]["mean"] - said["arms"][other]["mean"])
        assert change["low"] <= change["mean"] <= change["high"]
        assert f"{one} - {other}" in shown
    files = sorted((tmp_path / "run").glob("measured-*.jsonl"))
    before = [file.read_bytes() for file in files]
    assert [len(lines.splitlines()) for lines in before] == [1 + 2 * 1 + 2 * 2] * 2  # base, trained
    assert finetuned(tmp_path, config) == 0
    assert [file.read_bytes() for file in files] == before
    assert capsys.readouterr().out == shown
    assert json.loads((tmp_path / "run" / "report.json").read_text()) == report


def test_held_out_questions_are_taken_out_of_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    task = load_task("worksheets")
    seen, unseen = list(task.examples("test", 2)), list(task.examples("train", 8))
    rows = [
        {"worksheet": f"{e.worksheet}  ", "answers": e.answers, "proposals": ["(a) 1", "(a) 2"]}
        for e in (*seen, *unseen)
    ]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert finetuned(tmp_path, f'file = "{path}"\n' + CONFIG.replace("examples = 8", "")) == 0
    assert "2 of 10 training examples ask what held-out examples ask and were left out" in capsys.readouterr().out
    assert json.loads((tmp_path / "run" / "report.json").read_text())["rows"] == 8
    path.write_text("".join(json.dumps(row) + "\n" for row in rows[:2]))
    assert finetuned(tmp_path, f'file = "{path}"\n' + CONFIG, "--out", str(tmp_path / "other")) == 2
    assert "all 2 training examples ask what the held-out examples ask" in capsys.readouterr().err


def test_a_student_learns_rows_that_are_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "sft.jsonl"
    rows = [
        {"messages": [{"role": "user", "content": f"(a) {i} + 1"}, {"role": "assistant", "content": f"(a) {i + 1}"}]}
        for i in range(8)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in [*rows, rows[0]]))
    assert finetuned(tmp_path, CONFIG, "--from", str(path), "--held-out", "0") == 0
    assert "8 rows, 2 steps" in capsys.readouterr().out
    again = [json.loads(line) for line in (tmp_path / "run" / "rows.jsonl").read_text().splitlines()]
    assert again[0] == {"prompt": rows[0]["messages"][:1], "completion": rows[0]["messages"][1:]}
    assert finetuned(tmp_path, CONFIG, "--from", str(tmp_path / "run"), "--held-out", "0", "--out", f"{path}2") == 0


SYNTHESIS = """
teachers = ["plus", "times"]
rows = 12
shard_rows = 6
prompts = { task = "worksheets", split = "train" }
best = { scorer = "likelihood" }
fusion = { fusor = "aft", instructions = "AGGREGATE" }
gates = { language = false, near_duplicates = 0 }
"""


@pytest.mark.parametrize(
    ("options", "rows"),
    [
        ((), 12),
        (("--from-answer", "best"), 12),
        (("--from-format", "aft"), 12),
        (("--from-format", "preference"), None),
    ],
)
def test_a_synthesis_trains_a_student_from_end_to_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], rows: int | None
) -> None:
    pytest.importorskip("trl", reason="trl is not installed: pip install 'dspy-fusion[finetune]'")
    (tmp_path / "synthesize.toml").write_text(SYNTHESIS)
    made = tmp_path / "made"
    assert main(["synthesize", str(tmp_path / "synthesize.toml"), "--out", str(made)]) == 0
    assert finetuned(tmp_path, CONFIG, "--from", str(made), *options) == 0
    assert "trained alone - base alone" in capsys.readouterr().out
    learned = list(read_training_rows(tmp_path / "run" / "rows.jsonl"))
    assert rows is None or len(learned) == rows
    task = load_task("worksheets")
    system = task.instructions if "aft" not in options else None
    assert all(system in (None, row.prompt[0]["content"]) for row in learned)  # as the task program asks
    asked = {example.worksheet for example in task.examples("train", 12)}
    assert all(row.asked in asked for row in learned)


OWN = """
data = "{data}"
inputs = ["worksheet"]
output = "answers"
metric = "exact"
adapter = "plain"
base = "embedded/solver"
examples = 6
held_out = 2
seeds = 1
draws = 2
keep = 2
scorer = ""
program = {{ program = "fusion", pool = "base", fusor = "base", n = 2 }}
training = {{ lora = false, batch_size = 2, micro_batch = 2, log_every = 1, threads = 1, device = "cpu" }}
"""


def test_rows_of_ones_own_are_trained_on_the_first_held_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    examples = list(load_task("worksheets").examples("train", 20))
    path = tmp_path / "mine.jsonl"
    path.write_text("".join(json.dumps({"worksheet": e.worksheet, "answers": e.answers}) + "\n" for e in examples))
    assert finetuned(tmp_path, OWN.format(data=path)) == 0
    assert "2 held-out examples" in capsys.readouterr().out
    learned = [row.asked for row in read_training_rows(tmp_path / "run" / "rows.jsonl")]
    assert sorted(learned) == sorted(example.worksheet for example in examples[2:8])


def test_another_users_folder_is_left_as_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mine = tmp_path / "run" / "base" / "mine.bin"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    assert finetuned(tmp_path, CONFIG) == 2
    assert "holds base, which no fine-tuning of this library wrote" in capsys.readouterr().err
    assert [path for path in (tmp_path / "run").rglob("*") if path.is_file()] == [mine]
