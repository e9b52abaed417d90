"""``dspy-fusion bank``: its mistakes in one line, and a file from import to figure."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dspy_fusion.experiments.__main__ import main

ANSWERS = [{"source": "a", "text": "it is 4", "pred": "4"}, {"source": "b", "text": "5", "pred": "5"}]
ROW = {"question": "q", "gold": "4", "candidates": ANSWERS}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working directory with a few files."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    rows = [json.dumps({**ROW, "id": number, "question": f"q{number}"}) for number in range(6)]
    Path("answers.jsonl").write_text("\n".join(rows) + "\n")
    Path("renamed.jsonl").write_text(json.dumps({"id": 1, "prompt": "?", "answers": ["4"]}) + "\n")
    Path("empty.jsonl").write_text("")
    Path("torn.jsonl").write_text(rows[0] + "\n" + rows[1][:20])
    Path("torn.jsonl.gz").write_bytes(b"\x1f\x8b\x08\x00")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "required: import | show"),
        (["import", "absent.jsonl"], "cannot read absent.jsonl"),
        (["import", "empty.jsonl"], "empty.jsonl is empty; there is nothing to import"),
        (["import", "torn.jsonl"], "torn.jsonl, line 2 is no JSON"),
        (["import", "torn.jsonl.gz"], "torn.jsonl.gz is a broken gzip file after line 0"),
        (["import", "renamed.jsonl"], "renamed.jsonl, line 1: the columns id, prompt, answers fit no known shape"),
        (
            ["import", "renamed.jsonl", "--map", "question"],
            "--map takes OURS=THEIRS, such as question=prompt, but got 'question'",
        ),
        (["import", "answers.jsonl", "--columns", "a,b"], "answers.jsonl, line 1 lacks a column 'a'"),
        (
            ["import", "answers.jsonl", "--score-range", "5", "1"],
            "a score range goes from a lower to a higher number, but got 5 to 1",
        ),
        (["import", "answers.jsonl", "--task", "sums"], "there is no task 'sums'"),
        (["import", "answers.jsonl", "--bank", "martian://bank"], "cannot open the bank 'martian://bank'"),
        (["import", "CohereLabs/fusion-synth-data-s1kx"], "is no file, and cannot be read as a data set of the hub"),
        (["show", "sqlite:///absent.db"], "there is no bank at 'sqlite:///absent.db'; dspy-fusion bank import FILE"),
        (["show", "sqlite:///absent.db", "--subsets", "0"], "--subsets must be at least 1, but got 0"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_two(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bank", *arguments]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1


def test_a_file_is_imported_shown_and_drawn(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bank", "import", "answers.jsonl"]) == 0
    said = capsys.readouterr().out
    assert "6 rows read as questions: 6 questions and 12 candidates added to the set 'answers'" in said
    assert "next: dspy-fusion bank show sqlite:///bank.db --set answers" in said
    assert main(["bank", "import", "answers.jsonl"]) == 0
    assert (
        "0 questions and 0 candidates added to the set 'answers'; 12 candidates were there already"
        in capsys.readouterr().out
    )
    assert main(["bank", "show", "sqlite:///bank.db", "--subsets", "4", "--resamples", "20", "--out", "out"]) == 0
    shown = capsys.readouterr().out
    for title in (
        "Sources (6 questions)",
        "One answer from 2 candidates",
        "Score % with N candidates",
        "Diversity (means",
    ):
        assert title in shown
    assert json.loads(Path("out/recorded.json").read_text())["beta"]["share"] == 0
    assert Path("out/quality_against_n.png").stat().st_size > 1000


def test_rows_that_are_set_aside_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    Path("some.jsonl").write_text(json.dumps({**ROW, "id": 1}) + "\n" + json.dumps({**ROW, "id": 1}) + "\n")
    assert main(["bank", "import", "some.jsonl"]) == 0
    assert (
        "1 of 2 rows were set aside: some.jsonl, line 2: the id '1' was there before: some.jsonl, line 1"
        in capsys.readouterr().err
    )


def test_several_sets_are_listed_until_one_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("one", "two"):
        main(["bank", "import", "answers.jsonl", "--name", name])
    capsys.readouterr()
    assert main(["bank", "show", "sqlite:///bank.db"]) == 0
    assert "Name one with --set" in capsys.readouterr().out
    assert main(["bank", "show", "sqlite:///bank.db", "--set", "three"]) == 2
    assert "holds no set 'three'; it holds: one, two" in capsys.readouterr().err
    assert main(["bank", "show", "sqlite:///bank.db", "--set", "two", "--sources", "a,z"]) == 2
    assert "the set 'two' has no source 'z'; it has: a, b" in capsys.readouterr().err


def test_help_is_no_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bank", "import", "--help"]) == 0
    assert "--score-range LOW HIGH" in capsys.readouterr().out
