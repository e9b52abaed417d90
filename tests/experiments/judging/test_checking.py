"""The whole check: models of a catalogue are asked about pairs, and their verdicts are kept."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from dspy_fusion.experiments.__main__ import main
from dspy_fusion.experiments.judging.checking import CheckPlan, CheckResult, check_judges, total
from dspy_fusion.experiments.judging.pairs import RECORDED
from dspy_fusion.programs import ConfigurationError, ScorerError
from dspy_fusion.serving.embedded.arithmetic import answer_text, draw_worksheet, question_text

Judge = Callable[[str, str], str]


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    lines = [
        {
            "id": f"p{i}",
            "input": f"question {i}",
            "output_1": f"good {i}",
            "output_2": f"bad {i}",
            "label": 1,
            RECORDED: ["1", "1"],
        }
        if i % 2
        else {
            "id": f"p{i}",
            "input": f"question {i}",
            "output_1": f"bad {i}",
            "output_2": f"good {i}",
            "label": 2,
            RECORDED: ["1", "2"],
        }
        for i in range(20)
    ]
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def saying(judge: Judge) -> Callable[[Any], Any]:
    """A model's answer to what it is shown as A and as B."""

    def answer(request: Any) -> Any:
        prompt = request.messages[-1].text
        a, b = (re.search(rf"\[{name}\] (\w+ \d+)", prompt) for name in "AB")
        return {"verdict": judge(a[1], b[1])}

    return answer


def knows(a: str, b: str) -> str:
    return "[[A]]" if a.startswith("good") else "[[B]]"


def checked(lab: Any, path: Path, *judges: str, **options: Any) -> CheckResult:
    bank = f"sqlite:///{path.parent}/bank.db"
    plan = CheckPlan(path, judges=judges, bank=bank, max_concurrency=2, **options)
    return check_judges(plan, lab, Console(stderr=True))


def test_a_model_is_asked_in_both_orders(lab: Any, pairs: Path) -> None:
    lab.add("wise", saying(knows))
    result = checked(lab, pairs, "wise")
    (found,) = result.checks
    assert (found.judge, found.pairs, found.unreadable, found.both_orders) == ("wise", 20, 0, True)
    assert found.accuracy.mean == 1
    assert total(result.asked).calls == lab.calls == 40


def test_a_second_check_asks_nothing_again(lab: Any, pairs: Path) -> None:
    lab.add("wise", saying(knows))
    first = checked(lab, pairs, "wise", examples=12)
    again = checked(lab, pairs, "wise")
    assert lab.calls == 40
    assert {name: again.asked["wise"].said[name] for name in first.asked["wise"].said} == first.asked["wise"].said


def test_a_judge_that_always_says_a_is_found_out(lab: Any, pairs: Path) -> None:
    lab.add("parrot", saying(lambda a, b: "[[A]]"))
    assert checked(lab, pairs, "parrot").checks[0].constant == "first"


def test_a_mumbled_verdict_is_counted_with_its_text(lab: Any, pairs: Path) -> None:
    lab.add("mumbler", saying(lambda a, b: "hm" if "good 3" in (a, b) else knows(a, b)))
    result = checked(lab, pairs, "mumbler")
    assert result.checks[0].unreadable == 1
    assert result.asked["mumbler"].errors[0].startswith("p3: with A first: no preference in the judge's verdict 'hm'")


def test_a_judge_that_cannot_be_read_stops_the_check(lab: Any, pairs: Path) -> None:
    lab.add("mute", saying(lambda a, b: "hm"))
    with pytest.raises(
        ScorerError, match="no verdict on the first 12 pairs can be read; the last cause: with A first: no preference"
    ):
        checked(lab, pairs, "mute")
    assert lab.calls < 40


def test_one_order_costs_half(lab: Any, pairs: Path) -> None:
    lab.add("wise", saying(knows))
    result = checked(lab, pairs, "wise", both_orders=False)
    assert lab.calls == 20
    assert result.checks[0].both_orders is False


def test_several_models_are_a_panel_too(lab: Any, pairs: Path) -> None:
    lab.add("wise", saying(knows))
    lab.add("same", saying(knows))
    lab.add("parrot", saying(lambda a, b: "[[A]]"))
    result = checked(lab, pairs, "wise", "same", "parrot")
    assert [found.judge for found in result.checks] == ["wise", "same", "parrot", "panel"]
    assert result.checks[-1].accuracy.mean == 1


def test_recorded_verdicts_stand_beside_a_models(lab: Any, pairs: Path) -> None:
    lab.add("wise", saying(knows))
    result = checked(lab, pairs, "wise", recorded=RECORDED)
    assert [found.judge for found in result.checks] == [RECORDED, "wise"]
    assert result.checks[0].flips.mean == 0.5


def test_something_must_be_checked(lab: Any, pairs: Path) -> None:
    with pytest.raises(ConfigurationError, match="say what is checked: --judge MODEL, or --recorded"):
        checked(lab, pairs)
    with pytest.raises(ConfigurationError, match="there is no adapter 'braille'; there are: chat, json, plain"):
        checked(lab, pairs, "wise", adapter="braille")


def test_the_command_prints_and_writes_what_it_found(pairs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = pairs.with_name("found.json")
    assert main(["judge-check", str(pairs), "--recorded", "--json", str(out)]) == 0
    said = capsys.readouterr().out
    assert "75.0 [" in said
    assert f"{RECORDED} leans to the answer shown first" in said
    assert json.loads(out.read_text())["judges"][0]["accuracy"]["mean"] == 0.75


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["absent.jsonl", "--recorded"], "cannot read absent.jsonl"),
        (["pairs.jsonl"], "say what is checked"),
        (["pairs.jsonl", "--recorded", "verdict"], "pairs.jsonl, line 1 lacks a column 'verdict'"),
        (["pairs.jsonl", "--judge", "nobody"], "no model is called 'nobody'"),
        (["pairs.jsonl", "--recorded", "--examples", "0"], "at least one example is needed, but got 0"),
        (["pairs.jsonl", "--recorded", "--max-concurrency", "0"], "--max-concurrency must be at least 1, but got 0"),
        (["pairs.jsonl", "--recorded", "--json", "absent/found.json"], "cannot write to absent/found.json"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_two(
    arguments: list[str], message: str, pairs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(pairs.parent)
    assert main(["judge-check", *arguments]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1


def test_the_embedded_judge_is_better_than_a_coin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    rng = random.Random(7)
    with (tmp_path / "sheets.jsonl").open("w") as file:
        for i in range(16):
            sheet = draw_worksheet(rng)
            right = answer_text(sheet)
            wrong = "\n".join(
                re.sub(r"= (\d+)$", lambda found: f"= {int(found[1]) + 7}", line) for line in right.split("\n")
            )
            first, second = (right, wrong) if i % 2 else (wrong, right)
            line = {"input": question_text(sheet), "output_1": first, "output_2": second, "label": 1 if i % 2 else 2}
            file.write(json.dumps(line) + "\n")
    assert (
        main(["judge-check", "sheets.jsonl", "--judge", "embedded/judge", "--form", "ratings", "--adapter", "plain"])
        == 0
    )
    said = capsys.readouterr().out
    assert "embedded/judge is right in" in said
    assert "32 calls" in said
    assert (tmp_path / "runs" / "judge-check" / "bank.db").exists()
