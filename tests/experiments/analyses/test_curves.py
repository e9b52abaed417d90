"""Training curves from this library's folders and from the Trainer's."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from dspy_fusion.experiments.__main__ import main
from dspy_fusion.experiments.analyses.curves import curve_findings, read_curve
from dspy_fusion.programs.errors import ConfigurationError, RecordError


def training(folder: Path, losses: Sequence[float]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "curve.jsonl").write_text(
        "".join(json.dumps({"step": 10 * i, "loss": loss}) + "\n" for i, loss in enumerate(losses, 1))
    )
    return folder


def test_a_curve_is_read(tmp_path: Path) -> None:
    curve = read_curve(f"aft={training(tmp_path, [4, 3, 2, 1])}")
    assert (curve.name, curve.steps.tolist(), curve.final, curve.mean, curve.roughness) == (
        "aft",
        [10, 20, 30, 40],
        2,
        2.5,
        0,
    )


def test_the_trainers_own_state_is_read_too(tmp_path: Path) -> None:
    (tmp_path / "checkpoint-2").mkdir()
    history = [{"step": 1, "loss": 2.0}, {"step": 2, "loss": 1.0}, {"step": 2, "train_runtime": 3.0}]
    (tmp_path / "checkpoint-2" / "trainer_state.json").write_text(json.dumps({"log_history": history}))
    assert read_curve(str(tmp_path)).losses.tolist() == [2, 1]


def test_steps_that_were_done_again_count_once_and_a_torn_line_not_at_all(tmp_path: Path) -> None:
    points = [(1, 3.0), (2, 9.0), (2, 2.0)]
    lines = "".join(json.dumps({"step": step, "loss": loss}) + "\n" for step, loss in points)
    (tmp_path / "curve.jsonl").write_text(lines + '{"step": 3, "lo')
    assert read_curve(str(tmp_path)).losses.tolist() == [3, 2]


def test_repetitions_are_put_together(tmp_path: Path) -> None:
    curves = [read_curve(f"aft={training(tmp_path / str(i), [2.0 + i] * 3)}") for i in range(2)]
    (row,) = curve_findings(curves).tables[0].rows
    assert row[:2] == ("aft", "2")
    assert row[4] == "2.5000 [2.0000, 3.0000]"


def test_a_folder_without_a_curve_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"holds neither curve.jsonl nor trainer_state.json"):
        read_curve(str(tmp_path))
    (tmp_path / "curve.jsonl").write_text("")
    with pytest.raises(RecordError, match="has no loss yet"):
        read_curve(str(tmp_path))
    (tmp_path / "curve.jsonl").write_text("loss\n")
    with pytest.raises(RecordError, match="holds no training curve"):
        read_curve(str(tmp_path))


def test_the_command_draws_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = training(tmp_path / "sft", [3, 2, 2]), training(tmp_path / "aft", [2, 1, 1])
    assert main(["analyse", "curves", str(first), str(second), "--out", str(tmp_path / "out")]) == 0
    assert "final loss" in capsys.readouterr().out
    assert {path.suffix for path in (tmp_path / "out").iterdir()} == {".png", ".svg", ".csv", ".md", ".jsonl"}
