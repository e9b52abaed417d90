"""The real command: its errors in one line, and one comparison from end to end on the embedded models."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from dspy_fusion.experiments.__main__ import main
from dspy_fusion.experiments.records.record_file import read_records
from dspy_fusion.serving.embedded import embedded_model

WEIGHTS = Path(embedded_model.__file__).with_name("weights")
SMALL = ["--examples", "3", "--n", "2"]
CONFIG = 'task = "worksheets"\n[[strategy]]\nname = "vote"\nprogram = "vote"\npool = "embedded/plus"\n'


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "required"),
        (["compare"], "give a configuration file, or --task or --data, with --models or --program"),
        (["compare", "--task", "worksheets", "--models", ","], "--models names no model: ','"),
        (
            ["compare", "--task", "sheets", "--models", "embedded/plus"],
            "there is no task 'sheets'; there are: worksheets",
        ),
        (["compare", "--task", "worksheets", "--models", "pluss"], "no model is called 'pluss'; did you mean 'plus'?"),
        (["compare", "--task", "worksheets", "--models", "plus", "--n", "0"], "n must be at least 1, but got n=0"),
        (["compare", "--task", "worksheets", "--models", "plus", "--examples", "few"], "invalid int value: 'few'"),
        (["compare", "absent.toml"], "cannot read the configuration absent.toml"),
        (["compare", "wrong.toml"], "wrong.toml: unknown key 'exampels'; allowed are task, strategy"),
        (["compare", "right.toml", "--task", "worksheets"], "not both"),
        (["compare", "right.toml", "--models-file", "absent.toml"], "cannot read the model catalogue absent.toml"),
        (["demo", "--split", "dev"], "there is no split 'dev'"),
        (["report", "absent"], "absent holds no run"),
        (["guess"], "invalid choice: 'guess'"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_two(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wrong.toml").write_text("exampels = 3\n" + CONFIG)
    (tmp_path / "right.toml").write_text(CONFIG)
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.startswith("dspy-fusion: ")
    assert said.count("\n") == 1
    assert not (tmp_path / "runs").exists()


def test_models_are_listed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["models"]) == 0
    assert "this process" in capsys.readouterr().out


def test_help_is_no_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "--help"]) == 0
    assert "--fusor" in capsys.readouterr().out


@pytest.mark.skipif(not (WEIGHTS / "judge.safetensors").exists(), reason=f"the embedded weights are not in {WEIGHTS}")
def test_demo_runs_from_end_to_end_and_goes_on_for_free(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "dspy_fusion.experiments", "demo", *SMALL, "--out", "run"]
    first = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    records = read_records(tmp_path / "run" / "records.jsonl")
    assert not any(record.error for record in records)
    assert "report.html" in first.stdout
    assert "mlflow ui" in first.stdout
    assert (tmp_path / "mlflow.db").exists()
    again = subprocess.run([*command, "--no-tracking"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert f"{len(records)} of {len(records)} records are there" in again.stderr
    assert "calls made" not in again.stderr  # nothing was left to run


def test_a_package_that_is_not_installed_is_named() -> None:
    code = (
        "import sys; sys.modules['rich.console'] = None; from dspy_fusion.experiments.__main__ import main;"
        " sys.exit(main(['models']))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 2
    assert "dspy-fusion: the command models needs rich: pip install 'dspy-fusion[experiments]'\n" in run.stderr
