"""``dspy-fusion diagnose`` on recorded candidates and on the embedded models."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dspy_fusion.experiments.__main__ import main
from dspy_fusion.experiments.recordings.store import RecordedStore
from dspy_fusion.programs import CandidateBank

LIVE = [
    "--task",
    "worksheets",
    "--models",
    "plus,minus",
    "--fusor",
    "aft",
    "--examples",
    "3",
    "--n",
    "2",
    "--no-tracking",
]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")


def recorded() -> None:
    """A set of thirty questions on which three sources that err apart outvote each one."""
    rows = []
    for number in range(30):
        preds = ["4" if (number + place) % 3 else f"wrong {place}" for place in range(3)]
        candidates = [{"source": f"s{place}", "text": pred, "pred": pred} for place, pred in enumerate(preds)]
        rows.append(json.dumps({"id": number, "question": f"q{number}", "gold": "4", "candidates": candidates}))
    Path("answers.jsonl").write_text("\n".join(rows) + "\n")
    assert main(["bank", "import", "answers.jsonl", "--task", "gsm8k"]) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give --bank URL for recorded candidates, or --task or --data with --models"),
        (["--task", "worksheets"], "give --task or --data together with --models, which names at least one model"),
        (["--models", "plus"], "give --task or --data together with --models"),
        (["--task", "sheets", "--models", "plus"], "there is no task 'sheets'"),
        (["--task", "worksheets", "--models", "pluss"], "no model is called 'pluss'; did you mean 'plus'?"),
        (
            ["--task", "worksheets", "--models", "recorded/x"],
            "recorded/x is recorded: look at it with --bank URL --set NAME",
        ),
        (["--task", "worksheets", "--models", "plus", "--split", "dev"], "there is no split 'dev'"),
        (["--task", "worksheets", "--models", "plus", "--n", "0"], "n must be at least 1, but got n=0"),
        (
            ["--task", "worksheets", "--models", "plus", "--languages", "de"],
            "the task 'worksheets' has no language 'de'",
        ),
        (
            ["--task", "mt_bench", "--models", "plus"],
            "the metric of mt_bench asks a judge; name a model with --metric-judge",
        ),
        (["--bank", "sqlite:///absent.db"], "there is no bank at 'sqlite:///absent.db'"),
        (["--bank", "sqlite:///absent.db", "--examples", "1"], "examples must be at least 2, but got examples=1"),
        (["--bank", "sqlite:///absent.db", "--trials", "0"], "trials must be at least 1, but got trials=0"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_two(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["diagnose", *arguments]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1


def test_recorded_candidates_are_looked_at_without_a_model(capsys: pytest.CaptureFixture[str]) -> None:
    recorded()
    capsys.readouterr()
    assert (
        main(["diagnose", "--bank", "sqlite:///bank.db", "--examples", "25", "--fusor", "m/x", "--out", "d.json"]) == 0
    )
    captured = capsys.readouterr()
    assert "Recommended: vote with N = 3" in captured.out
    assert "because vote beats one answer of s" in captured.out
    assert "fusing 3 of them on all 30 questions" in captured.out
    assert "comparison on 200 questions" in captured.out
    assert "no price" in captured.out
    assert "tokens were not recorded; they are estimated as a quarter of the texts' characters" in captured.err
    numbers = json.loads(Path("d.json").read_text())
    assert (numbers["questions"], numbers["recommended"]["strategy"]) == (25, "vote")


def test_a_price_in_the_catalogue_becomes_dollars(capsys: pytest.CaptureFixture[str]) -> None:
    recorded()
    Path("models.toml").write_text('[dear]\nmodel = "m/x"\nprice = { input = 1000000, output = 0 }\n')
    assert main(["diagnose", "--bank", "sqlite:///bank.db", "--fusor", "dear", "--out", "d.json"]) == 0
    spent = json.loads(Path("d.json").read_text())["spending"]["fusing 3 of them on all 30 questions"]
    assert spent["usd"] == pytest.approx(spent["tokens_in"])
    assert "no price" not in capsys.readouterr().out


def test_models_are_looked_at_and_what_they_answered_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diagnose", *LIVE]) == 0
    captured = capsys.readouterr()
    assert "this look at 3 questions" in captured.out
    assert "oracle per part" in captured.out
    assert "Recommended: " in captured.out
    assert "next: dspy-fusion compare --task worksheets --models plus,minus --bank sqlite:///bank.db" in captured.out
    assert "3 questions are few" in captured.err
    bank = CandidateBank("sqlite:///bank.db")
    assert len(bank) == 6
    assert RecordedStore(bank).sets == ()
    assert main(["diagnose", *LIVE]) == 0
    assert len(bank) == 6
