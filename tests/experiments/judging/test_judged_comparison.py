"""Judges in whole comparisons: as what chooses, and as what grades."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dspy_fusion.experiments.__main__ import main
from dspy_fusion.experiments.plans.comparison_config import CompareConfig, StrategyConfig
from dspy_fusion.experiments.plans.default_strategies import preset_config
from dspy_fusion.experiments.plans.strategies import planned
from dspy_fusion.experiments.records.record_file import read_records
from dspy_fusion.experiments.runs.comparison import prepare
from dspy_fusion.programs import ConfigurationError


def chosen(scorer: str, judge: str, **options: Any) -> StrategyConfig:
    return StrategyConfig(scorer, "best_of_n", "both", scorer=scorer, judge=judge, scorer_options=options)


def test_every_judge_chooses_in_a_comparison(config: CompareConfig, lab: Any, tmp_path: Path) -> None:
    for name in ("one", "two"):
        lab.add(name, lambda request: "All of it. 4/4 8 8 Judgment: 1")
    strategies = [
        chosen("pairwise", "one", rounds=2),
        chosen("gen_select", "one", window=2),
        chosen("usc", "one", repeats=2),
    ]
    strategies += [chosen("panel", "one, two", combine="majority", instructions="Count what is right.")]
    comparison = prepare(replace(config, strategies=tuple(strategies), examples=2), lab, tmp_path)
    records = []
    comparison.run(records.append)
    assert [record.error for record in records] == [None] * 8
    calls = {record.strategy: record.usage["scorer"].calls for record in records}
    assert calls == {"pairwise": 4, "gen_select": 2, "usc": 2, "panel": 6}


@pytest.mark.parametrize(
    ("strategy", "message"),
    [
        (chosen("gen_select", ""), "strategy 'gen_select': scorer 'gen_select' needs a model, such as judge ="),
        (chosen("panel", ""), "strategy 'panel': scorer 'panel' needs a model"),
        (chosen("judge", "one,two"), "judge names several models, 'one,two'; only scorer 'panel' takes more than one"),
        (
            chosen("jury", "one"),
            "there is no scorer 'jury'; there are: likelihood, code_tests, code_agreement, reward_model, judge",
        ),
    ],
)
def test_bad_judges_are_refused_by_name(strategy: StrategyConfig, message: str, config: CompareConfig) -> None:
    with pytest.raises(ConfigurationError, match=message):
        planned(replace(config, strategies=(strategy,)))


def test_a_panel_of_one_is_refused(config: CompareConfig, lab: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="strategy 'panel': a panel needs at least two judges, but got 1"):
        prepare(replace(config, strategies=(chosen("panel", "one"),)), lab.add("one", str) and lab, tmp_path)


def test_a_selector_stands_in_where_answers_cannot_be_counted() -> None:
    open_ended = preset_config("arena", ["a", "b"])
    assert [(s.scorer, s.judge) for s in open_ended.strategies if s.program == "best_of_n"] == [("usc", "a")]
    assert "usc" not in {strategy.scorer for strategy in preset_config("worksheets", ["a", "b"]).strategies}


@pytest.fixture
def arena(tmp_path: Path) -> CompareConfig:
    (tmp_path / "data" / "arena").mkdir(parents=True)
    rows = [{"id": f"r{i}", "prompt": f"Name colour {i}.", "baseline": "Blue."} for i in range(4)]
    (tmp_path / "data" / "arena" / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    strategies = (
        StrategyConfig("single", "single", "writer"),
        StrategyConfig("fusion", "fusion", "writer", fusor="fusor"),
    )
    return CompareConfig(
        task="arena", examples=4, n=2, data=str(tmp_path / "data"), metric_judge="referee", strategies=strategies
    )


def referee(request: Any) -> Any:
    """Prefers the longer answer; says nothing of use about colour 3."""
    prompt = request.messages[-1].text
    a, b = (re.search(rf'\[{name}\] ([^"]*)"', prompt)[1] for name in "AB")
    return {"verdict": "hm" if "colour 3" in prompt else "[[A]]" if len(a) > len(b) else "[[B]]"}


@pytest.fixture
def judged_lab(lab: Any) -> Any:
    lab.add("writer", lambda request: {"answer": "Red."})
    lab.add("fusor", lambda request: {"answer": "Ultramarine, with red."})
    lab.add("referee", referee)
    return lab


def test_an_arena_run_is_graded_by_its_judge(
    arena: CompareConfig, judged_lab: Any, tmp_path: Path, capsys: Any
) -> None:
    prepare(arena, judged_lab, tmp_path / "run").run(lambda record: None)
    records = read_records(tmp_path / "run" / "records.jsonl")
    graded = {(record.strategy, record.score) for record in records if record.error is None}
    assert graded == {("single", 0.0), ("fusion", 1.0)}
    failed = [record for record in records if record.error]
    assert [record.example for record in failed] == ["r3", "r3"]
    assert all("UnreadableVerdict" in record.error for record in failed)
    assert main(["win-rates", str(tmp_path / "run"), "--resamples", "3"]) == 0
    said = capsys.readouterr()
    assert "2 of 8 answers were not graded and are left out" in said.err
    assert re.search(r"fusion +100\.0 .* 3 *\n", said.out)
    assert re.search(r"single +0\.0 .* 3 *\n", said.out)


def test_one_answer_is_judged_once_for_all_strategies(arena: CompareConfig, judged_lab: Any, tmp_path: Path) -> None:
    prepare(arena, judged_lab, tmp_path / "run").run(lambda record: None)
    assert len(judged_lab.models["referee"].requests) == 4 * 2 * 2  # four prompts, two different answers, two orders


def test_the_referee_does_not_play(arena: CompareConfig, judged_lab: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="metric_judge 'fusor' would grade its own answers"):
        prepare(replace(arena, metric_judge="fusor"), judged_lab, tmp_path / "run")
    with pytest.raises(ConfigurationError, match="the metric of arena asks a judge; name a model"):
        prepare(replace(arena, metric_judge=""), judged_lab, tmp_path / "run")


def test_other_runs_have_no_win_rate(config: CompareConfig, lab: Any, tmp_path: Path, capsys: Any) -> None:
    prepare(config, lab, tmp_path)
    assert main(["win-rates", str(tmp_path)]) == 2
    assert "is a comparison on 'worksheets'; only arena is judged against a baseline" in capsys.readouterr().err
