from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from shared_data import DATA, needs_data

from dspy_fusion.experiments.__main__ import main
from dspy_fusion.experiments.judging.win_rate_tables import (
    all_win_rates,
    matches_of_questions,
    matches_of_records,
    win_rate_table,
)
from dspy_fusion.experiments.recordings.recording import RecordedCandidate, RecordedQuestion
from dspy_fusion.experiments.records.record import Record
from dspy_fusion.programs import ConfigurationError


def question(number: int, **answers: tuple[str, float]) -> RecordedQuestion:
    candidates = tuple(RecordedCandidate(name, text, quality=quality) for name, (text, quality) in answers.items())
    return RecordedQuestion(f"q{number}", "why?", candidates)


def test_a_models_verdicts_are_its_quality_against_the_baselines() -> None:
    questions = [
        question(0, base=("four", 0.5), other=("longer", 0.9)),
        question(1, base=("four", 0.5), other=("x", 0.5)),
        question(2, base=("four", 0.5), other=("x", 0.1)),
        question(3, other=("alone", 1.0)),
    ]
    (matches,) = matches_of_questions(questions, "base").values()
    assert [(m.example, m.win, m.length, m.baseline_length) for m in matches] == [
        ("q0", 1, 6, 4),
        ("q1", 0.5, 1, 4),
        ("q2", 0, 1, 4),
    ]


def test_an_unknown_baseline_is_named() -> None:
    with pytest.raises(
        ConfigurationError, match="no question has a graded answer of the baseline 'gpt'; there are: base, other"
    ):
        matches_of_questions([question(0, base=("a", 1), other=("b", 0))], "gpt")


def test_records_are_matches_against_the_expected_answer(record: Callable[..., Record]) -> None:
    records = [record("fusion", i, 0.5, answer="a" * 9, expected="b" * 4) for i in range(3)]
    found = matches_of_records(records)
    assert [(m.win, m.length, m.baseline_length) for m in found["fusion"]] == [(0.5, 9, 4)] * 3


def test_what_could_not_be_graded_is_left_out_and_what_failed_has_lost(record: Callable[..., Record]) -> None:
    ungraded, failed = (
        record("single", 1, 0.0, error="not graded: hm"),
        record("single", 2, 0.0, answer=None, error="QuorumNotMet"),
    )
    (matches,) = matches_of_records([record("single", 0, 1.0), ungraded, failed]).values()
    assert [(m.example, m.win) for m in matches] == [("test-0", 1), ("test-2", 0)]
    assert matches[1].length == matches[1].baseline_length


def test_the_table_lists_the_best_at_equal_length_first(record: Callable[..., Record]) -> None:
    records = [record(name, i, float(i < wins)) for name, wins in (("weak", 2), ("strong", 8)) for i in range(10)]
    table = win_rate_table(all_win_rates(matches_of_records(records), resamples=5), "the baseline")
    assert [row[0] for row in table.rows] == ["strong", "weak"]
    assert table.rows[0][1].startswith("80.0 [")
    assert "(13 characters)" in table.note


@needs_data
def test_recorded_answers_are_compared_at_equal_length(capsys: pytest.CaptureFixture[str]) -> None:
    file = DATA / "arena_bench_v1" / "pool.jsonl.gz"
    assert main(["win-rates", str(file), "--baseline", "gpt-3.5-turbo", "--resamples", "3", "--markdown"]) == 0
    rows = {row[1].strip(): row[2:] for line in capsys.readouterr().out.splitlines() if len(row := line.split("|")) > 5}
    assert list(rows)[2] == "gpt-4-1106-preview"
    assert rows["gpt-4-1106-preview"][0].strip().startswith("80.8 [")
    assert float(rows["gpt-4-1106-preview"][1].split("[")[0]) < 80.8
    assert float(rows["claude-2.1"][1].split("[")[0]) > float(rows["claude-2.1"][0].split("[")[0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["pool.jsonl"], "name the model of pool.jsonl that the others are compared with: --baseline MODEL"),
        (["absent.jsonl", "--baseline", "a"], "cannot read absent.jsonl"),
        (["pool.jsonl", "--baseline", "gpt"], "no question has a graded answer of the baseline 'gpt'"),
        (["."], "holds no run"),
        ([".", "--baseline", "a"], "--baseline is for a file of recorded answers"),
        (["pool.jsonl", "--baseline", "a", "--resamples", "0"], "--resamples must be at least 1, but got 0"),
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
    candidates: list[dict[str, Any]] = [{"model": name, "answer": name, "score": 5} for name in "ab"]
    row = {"question_id": "q", "prompt": "why?", "reference_gpt4": "so", "candidates": candidates}
    (tmp_path / "pool.jsonl").write_text(json.dumps(row) + "\n")
    assert main(["win-rates", *arguments]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
