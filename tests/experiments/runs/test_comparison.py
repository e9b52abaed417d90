from __future__ import annotations

import os
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dspy_fusion.experiments.plans.comparison_config import CompareConfig, StrategyConfig
from dspy_fusion.experiments.records.record import Record
from dspy_fusion.experiments.records.record_file import read_records
from dspy_fusion.experiments.runs.comparison import Comparison, prepare
from dspy_fusion.programs import ConfigurationError, RecordError


def run(
    config: CompareConfig, lab: Any, path: Path, on_record: Any = lambda record: None, **options: Any
) -> Comparison:
    comparison = prepare(config, lab, path, **options)
    try:
        comparison.run(on_record)
    finally:
        comparison.records.close()
    return comparison


def test_every_strategy_answers_every_example(config: CompareConfig, lab: Any, tmp_path: Path) -> None:
    comparison = run(replace(config, seeds=2), lab, tmp_path)
    counts = Counter(record.strategy for record in comparison.records.records)
    assert len(counts) == 7
    assert set(counts.values()) == {8}


def test_one_strategy_is_finished_before_the_next(config: CompareConfig, lab: Any, tmp_path: Path) -> None:
    records = run(replace(config, max_concurrency=1), lab, tmp_path).records.records
    first, *others = dict.fromkeys(record.example for record in records)
    assert [record.example for record in records[:7]] == [first] * 7  # it leads
    names = [record.strategy for record in records[:7]]
    assert [(record.strategy, record.example) for record in records[7:]] == [(s, e) for s in names for e in others]


def test_strategies_share_one_pool(config: CompareConfig, lab: Any, tmp_path: Path) -> None:
    run(config, lab, tmp_path)
    assert lab.calls == 4 * (3 + 1)  # three candidates for all of them (the single one is among them) and one fusor


def test_second_run_makes_no_call(config: CompareConfig, lab: Any, tmp_path: Path) -> None:
    run(config, lab, tmp_path)
    before, content = lab.calls, (tmp_path / "records.jsonl").read_bytes()
    run(config, lab, tmp_path)
    assert (lab.calls, (tmp_path / "records.jsonl").read_bytes()) == (before, content)


def test_interrupted_run_goes_on_without_repeating_a_call(config: CompareConfig, lab: Any, tmp_path: Path) -> None:
    seen: list[Record] = []

    def interrupt(record: Record) -> None:
        seen.append(record)
        if len(seen) == 9:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(config, lab, tmp_path, interrupt)
    assert 9 <= len(read_records(tmp_path / "records.jsonl")) < 28
    comparison = run(config, lab, tmp_path)
    assert (len(comparison.records.records), lab.calls) == (28, 16)


def test_replayed_candidates_cost_what_they_cost(config: CompareConfig, lab: Any, tmp_path: Path) -> None:
    records = run(config, lab, tmp_path).records.records
    usages = {record.usage["candidates"] for record in records if record.strategy in ("vote", "oracle", "fusion")}
    assert [(usage.calls, usage.tokens_in) for usage in usages] == [(3, 30)]


def test_money_follows_the_catalogues_prices(config: CompareConfig, lab: Any, tmp_path: Path) -> None:
    records = run(config, lab, tmp_path).records.records
    costs = {record.strategy: record.cost_usd for record in records}
    assert (costs["vote"], costs["fusion"]) == pytest.approx((0.0, (10 * 1 + 3 * 2) / 1e6))


def test_no_selector_beats_the_oracle(config: CompareConfig, lab: Any, tmp_path: Path) -> None:
    records = run(config, lab, tmp_path).records.records
    oracle = {record.example: record.score for record in records if record.strategy == "oracle"}
    assert all(
        record.score <= oracle[record.example]
        for record in records
        if record.strategy.startswith("vote") and record.strategy != "vote per part"
    )
    assert all(record.score == record.best_candidate for record in records if record.strategy == "oracle")


def test_fusion_passes_the_oracle_of_complementary_models(config: CompareConfig, lab: Any, tmp_path: Path) -> None:
    records = run(replace(config, examples=12), lab, tmp_path).records.records
    means = {name: sum(r.score for r in records if r.strategy == name) / 12 for name in ("oracle", "fusion")}
    assert means["fusion"] > means["oracle"]


def test_other_configuration_is_refused_in_the_same_folder(config: CompareConfig, lab: Any, tmp_path: Path) -> None:
    run(config, lab, tmp_path)
    with pytest.raises(RecordError, match=r"holds another run \(temperature: 1.0 -> 0.5\)"):
        prepare(replace(config, temperature=0.5), lab, tmp_path)


def test_other_model_under_the_same_name_is_refused(config: CompareConfig, lab: Any, tmp_path: Path) -> None:
    run(config, lab, tmp_path)
    lab.models["plus"] = lab.lm("plus").copy(model="scripted/retrained")
    with pytest.raises(RecordError, match=r"models.plus: .*scripted/plus.* -> .*scripted/retrained"):
        prepare(config, lab, tmp_path)


def test_same_run_goes_to_the_same_folder(
    config: CompareConfig, lab: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    first, again = (prepare(config, lab, None).folder.path for _ in range(2))
    lab.models["plus"] = lab.lm("plus").copy(model="scripted/retrained")
    retrained, colder = (
        prepare(config, lab, None).folder.path,
        prepare(replace(config, temperature=0.1), lab, None).folder.path,
    )
    assert first == again
    assert len({first, retrained, colder}) == 3


def broken(request: Any) -> str:
    raise RuntimeError("no power")


def test_failure_is_recorded_and_can_be_retried(
    config: CompareConfig, lab: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(config, strategies=(*config.strategies, StrategyConfig("late", "single", "late")))
    works = lab.lm("plus").script.answer
    lab.add("late", lambda request: works(request) if "POWER" in os.environ else broken(request))
    failed = [record for record in run(config, lab, tmp_path).records.records if record.strategy == "late"]
    assert {(record.score, "no power" in (record.error or "")) for record in failed} == {(0.0, True)}
    monkeypatch.setenv("POWER", "on")
    again = run(config, lab, tmp_path, retry_failed=True)
    assert not any(record.error for record in again.records.records)


def test_calls_made_in_vain_are_counted(config: CompareConfig, lab: Any, tmp_path: Path) -> None:
    lab.add("mute", lambda request: "no verdict")
    judged = StrategyConfig("judged", "best_of_n", "both", scorer="judge", judge="mute")
    records = run(replace(config, strategies=(*config.strategies, judged)), lab, tmp_path).records.records
    failed = [record for record in records if record.strategy == "judged"]
    assert {(record.error or "")[:11] for record in failed} == {"ScorerError"}
    assert {(record.usage["failed"].calls, record.usage["failed"].tokens_in) for record in failed} == {(6, 60)}


def test_run_in_which_nothing_works_stops_early(config: CompareConfig, lab: Any, tmp_path: Path) -> None:
    for name in ("plus", "minus", "fusor"):
        lab.add(name, broken)
    with pytest.raises(
        RecordError, match=r"the first \d+ answers all failed, the last with QuorumNotMet.*--retry-failed"
    ):
        run(replace(config, examples=50), lab, tmp_path)
    assert len(read_records(tmp_path / "records.jsonl")) < 20


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tempo": 3}, "strategy 'vote':.*tempo"),
        ({"quorum": 9}, "strategy 'vote': quorum must be at most n=3, but got quorum=9"),
    ],
)
def test_programs_refuse_their_options_before_any_call(
    config: CompareConfig, lab: Any, tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    wrong = replace(config, strategies=(StrategyConfig("vote", "vote", "both", options=options),))
    with pytest.raises(ConfigurationError, match=message):
        prepare(wrong, lab, tmp_path / "run")
    assert (lab.calls, (tmp_path / "run").exists()) == (0, False)


def test_unwritable_folder_is_refused(config: CompareConfig, lab: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match=r"cannot write to the folder .*choose another with --out"):
        prepare(config, lab, tmp_path / "file" / "run")
