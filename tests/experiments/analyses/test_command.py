"""Mistakes on the command line of the analyses are one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from dspy_fusion.experiments.__main__ import main
from dspy_fusion.programs.errors import ConfigurationError

SHEETS = ["--task", "worksheets", "--models", "embedded/aft"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "required: ANALYSIS"),
        (["guess"], "invalid choice: 'guess'"),
        (["grid", "--models", "embedded/aft"], "required: --task"),
        (["grid", *SHEETS, "--widths", "a"], "--widths must be whole numbers separated by commas, but got 'a'"),
        (["grid", *SHEETS, "--widths", "0"], "widths must be numbers from 1"),
        (["grid", "--task", "worksheets", "--models", ","], "--models names no model: ','"),
        (["subsets", *SHEETS, "--examples", "1"], "--examples must be at least 2"),
        (["subsets", *SHEETS, "--size", "12"], "one less than all 10 candidates"),
        (["subsets", *SHEETS, "--fusor", "aftt"], "no model is called 'aftt'"),
        (["perplexity", "--base", "embedded/sft"], "give --task, or --rows NAME=FILE"),
        (["perplexity", "--base", "embedded/sft", "--rows", "x"], "--rows must be written as NAME=FILE"),
        (["perplexity", "--base", "embedded/sft", "--rows", "x=absent.jsonl"], "cannot read absent.jsonl"),
        (["perplexity", "--base", "embedded/absent", "--task", "worksheets"], "no embedded model is called 'absent'"),
        (["flops", "absent"], "absent holds no run"),
        (["flops", "absent", "--parameters", "8B"], "must be written as MODEL=8B"),
        (["curves", "absent"], "absent holds neither curve.jsonl nor trainer_state.json"),
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
    assert main(["analyse", *arguments]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert not (tmp_path / "runs").exists()


def test_an_error_can_be_looked_into(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="absent holds neither"):
        main(["analyse", "curves", str(tmp_path / "absent"), "--debug"])
