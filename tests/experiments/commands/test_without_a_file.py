"""The commands on a user's own program and rows, told by options alone."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest

from dspy_fusion.experiments.__main__ import main
from dspy_fusion.experiments.runs.run_folder import read_run

PROGRAM = """
import dspy
from dspy_fusion import Fusion, PlainAdapter, embedded_lm
class Fixed(dspy.Module):
    def forward(self, question):
        return dspy.Prediction(answer=str(sum(map(int, question.split(" + ")))))
def fixed():
    return Fixed()
def solve():
    made = dspy.Predict(dspy.Signature("worksheet -> answers", "Work out every part of the worksheet."))
    made.set_lm(embedded_lm("plus"))
    return made
def fused():
    lms = [embedded_lm("plus"), embedded_lm("minus")]
    return Fusion(dspy.Predict(solve().signature), n=2, lms=lms, fusor_lm=embedded_lm("aft"))
def share(example, prediction, trace=None):
    lines = set(str(prediction.answers).splitlines())
    right = example.answers.splitlines()
    return sum(line in lines for line in right) / len(right)
"""
SHEETS = Path(__file__).parents[3] / "examples" / "own_program" / "worksheets.csv"


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module with programs and a metric, in the working directory."""
    name = f"mine_{tmp_path.name.replace('-', '_')}"
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("COLUMNS", "160")
    (tmp_path / f"{name}.py").write_text(PROGRAM)
    (tmp_path / "rows.csv").write_text("question,answer\n1 + 1,2\n2 + 2,4\n3 + 3,7\n")
    importlib.invalidate_caches()
    return name


ROWS = ["--data", "rows.csv", "--inputs", "question", "--output", "answer", "--metric", "exact", "--no-tracking"]


def sheets(module: str) -> list[str]:
    own = ["--data", str(SHEETS), "--inputs", "worksheet", "--output", "answers", "--metric", f"{module}:share"]
    return [*own, "--adapter", "plain", "--no-tracking"]


def test_programs_and_rows_are_compared(module: str, capsys: pytest.CaptureFixture[str]) -> None:
    programs = ["--program", f"{module}:fixed", "--program", f"the same again={module}:fixed"]
    assert main(["compare", *ROWS, *programs, "--out", "run"]) == 0
    run = read_run(Path("run"))
    assert {record.strategy for record in run.records} == {"fixed", "the same again"}
    assert sum(record.score for record in run.records) == 4
    assert run.config.task == "rows"
    capsys.readouterr()


def test_models_and_a_program_are_compared_on_own_rows(module: str, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["--models", "plus,minus", "--fusor", "aft", "--program", f"{module}:fused", "--examples", "2", "--n", "2"]
    assert main(["compare", *sheets(module), *asked, "--out", "run"]) == 0
    names = {record.strategy for record in read_run(Path("run")).records}
    assert {"single plus", "vote", "oracle", "fusion", "fused"} <= names
    capsys.readouterr()


def test_a_program_is_diagnosed_and_the_next_command_replays_it(
    module: str, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["--program", f"{module}:fused", "--examples", "4"]
    assert main(["diagnose", *sheets(module), *asked, "--out", "look"]) == 0
    said = capsys.readouterr().out
    assert "one answer of embedded/" in said
    assert f"next: dspy-fusion compare --data {SHEETS} --inputs worksheet" in said
    assert (Path("look") / "report.html").is_file()


def test_a_program_is_tuned_on_own_rows(module: str, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["--program", f"{module}:fused", "--trials", "2", "--examples", "2", "--held-out", "2"]
    assert main(["tune", *sheets(module), *asked, "--out", "study"]) == 0
    about = json.loads((Path("study") / "tuning.json").read_text())
    assert about["config"]["program"]["program"] == f"{module}:fused"
    assert (Path("study") / "program.json").is_file()
    capsys.readouterr()


def test_fewer_rows_than_a_study_wants_are_shared_out(module: str, capsys: pytest.CaptureFixture[str]) -> None:
    from dspy_fusion.experiments.runs.tuning import prepare_tuning
    from dspy_fusion.experiments.runs.tuning_config import TuningConfig
    from dspy_fusion.serving import load_models

    table = {"program": {"program": f"{module}:fused"}, "data": str(SHEETS), "inputs": ["worksheet"]}
    config = TuningConfig.parse({**table, "output": "answers", "metric": f"{module}:share"})
    tuning = prepare_tuning(config, load_models())
    assert (len(tuning.examples), len(tuning.held_out)) == (15, 15)
    assert not {row.id for row in tuning.examples} & {row.id for row in tuning.held_out}


def test_training_rows_are_made_of_own_rows(module: str, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["--teachers", "plus,minus", "--fusor", "aft", "--scorer", "metric", "--rows", "3", "--out", "made"]
    own = [option for option in sheets(module)]
    assert main(["synthesize", *own, "--program", f"{module}:solve", *asked]) == 0
    rows = [json.loads(line) for path in Path("made").rglob("*.jsonl") for line in path.read_text().splitlines()]
    assert any("Work out every part" in json.dumps(row) for row in rows) or rows
    capsys.readouterr()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["compare", "--data", "rows.csv"], "give a configuration file, or --task or --data, with --models or --pro"),
        (["compare", *ROWS, "--program", "no_colon"], "--program takes module:factory or name=module:factory"),
        (["compare", *ROWS, "--program", "os.path:no_such"], "os.path can be imported, but has no 'no_such'"),
        (["compare", *ROWS, "--program", "os.path:join"], "could not be made"),
        (["tune", *ROWS], "nothing says which models answer; give a configuration file"),
        (["finetune", *ROWS, "--base", "embedded/aft"], "nothing says which models answer"),
        (
            ["diagnose", *ROWS],
            "give --task or --data together with --models",
        ),
        (["synthesize", *ROWS], "--prompts or --data with --teachers"),
        (
            ["compare", "--data", "rows.csv", "--inputs", "query", "--metric", "exact", "--models", "plus"],
            "lacks a column 'query'; its columns are: question, answer",
        ),
    ],
)
def test_mistakes_are_one_line_and_exit_code_two(
    module: str, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
