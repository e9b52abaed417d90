"""Comparisons whose candidates are recorded: the same records as with the models themselves,
and mistakes named before anything runs.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from shared_data import DATA, needs_data

from dspy_fusion.experiments.plans.comparison_config import CompareConfig, StrategyConfig
from dspy_fusion.experiments.plans.default_strategies import preset_config
from dspy_fusion.experiments.pools.recorded_pool import RecordedPool
from dspy_fusion.experiments.recordings.importing import ImportOptions, import_file
from dspy_fusion.experiments.recordings.store import RecordedStore
from dspy_fusion.experiments.records.record import Record
from dspy_fusion.experiments.runs.comparison import Comparison, prepare
from dspy_fusion.programs.errors import ConfigurationError
from dspy_fusion.serving.catalogue.models import load_models

MODELS = ("embedded/plus", "embedded/minus", "embedded/times")
ORACLE = StrategyConfig("oracle", "oracle", "all")


def finished(comparison: Comparison) -> dict[tuple[str, str], Record]:
    comparison.run(lambda record: None)
    comparison.records.close()
    return {(record.strategy, record.example): record for record in comparison.records.records}


def worksheets(pool: tuple[str, ...], **settings: Any) -> CompareConfig:
    strategies = (
        StrategyConfig("vote", "vote", "all"),
        StrategyConfig("vote per part", "vote_parts", "all"),
        ORACLE,
        StrategyConfig("fusion", "fusion", "all", fusor="embedded/aft"),
        StrategyConfig("deeper", "propose_aggregate", "all", fusor="embedded/aft"),
    )
    return CompareConfig("worksheets", strategies, pools={"all": pool}, examples=3, n=3, max_concurrency=3, **settings)


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Record]:
    return finished(prepare(worksheets(MODELS), load_models(), tmp_path_factory.mktemp("live") / "run"))


@pytest.fixture
def recorded(live: dict[tuple[str, str], Record], store: RecordedStore, write: Callable[..., str]) -> CompareConfig:
    """The live run's candidates as a file, imported, and the comparison that replays them."""
    rows = [
        {
            "question": record.inputs["worksheet"],
            "candidates": [{"source": c.model, "text": c.text} for c in record.candidates],
        }
        for (strategy, _), record in live.items()
        if strategy == "oracle"
    ]
    import_file(write(rows, "sheets.jsonl.gz"), store, ImportOptions(task="worksheets"))
    return worksheets(tuple(f"recorded/sheets/{name}" for name in MODELS), bank=store.bank.url)


def test_recorded_candidates_give_the_records_that_the_models_gave(
    live: dict[tuple[str, str], Record], recorded: CompareConfig, tmp_path: Path
) -> None:
    again = finished(prepare(recorded, load_models(), tmp_path / "again"))
    assert again.keys() == live.keys()
    for key, record in again.items():
        assert (record.answer, record.score, record.error) == (live[key].answer, live[key].score, None)
        assert [c.text for c in record.candidates] == [c.text for c in live[key].candidates]
        made = {"fusion": 1, "deeper": 4}.get(key[0], 0)
        assert record.calls_made == made
        assert {role: usage.calls for role, usage in record.usage.items()} == {
            role: usage.calls for role, usage in live[key].usage.items()
        }
    assert again["fusion", "test-0"].candidates[0].model == "recorded/sheets/embedded/plus"


def test_only_examples_that_were_recorded_are_asked(
    recorded: CompareConfig, store: RecordedStore, tmp_path: Path
) -> None:
    later = replace(recorded, strategies=(ORACLE,), examples=10)
    assert [example.id for example in prepare(later, load_models(), tmp_path / "run").examples] == [
        "test-0",
        "test-1",
        "test-2",
    ]
    with pytest.raises(
        ConfigurationError, match=r"none of .* examples of worksheets, split 'train', has recorded answers of recorded/"
    ):
        prepare(replace(later, split="train"), load_models(), tmp_path / "other")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"bank": ""}, "recorded/sheets/embedded/plus is recorded: name the bank that it is in"),
        ({"bank": "sqlite:///absent.db"}, "there is no bank at 'sqlite:///absent.db'"),
        (
            {"n": 4},
            (
                "strategy 'vote' wants 4 candidates, more than were recorded: recorded/sheets/embedded/plus has 1; set"
                " a smaller n"
            ),
        ),
        ({"pools": {"all": ("recorded/sheets",)}, "n": 4}, "more than were recorded: recorded/sheets has 3"),
        (
            {"pools": {"all": ("recorded/none",)}, "n": 1},
            "there is no recorded model recorded/none; the bank's sets are: sheets",
        ),
    ],
)
def test_what_was_not_recorded_is_refused_at_once(
    changed: dict[str, Any], message: str, recorded: CompareConfig, tmp_path: Path
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        prepare(replace(recorded, **changed), load_models(), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("strategy", "part"),
    [
        (StrategyConfig("f", "fusion", "all"), "fusor"),
        (StrategyConfig("f", "fresh_solve", "all", fusor="recorded/sheets"), "fusor"),
        (StrategyConfig("f", "best_of_n", "all", scorer="judge", judge="recorded/sheets"), "judge"),
    ],
)
def test_recorded_models_cannot_write_or_judge(
    strategy: StrategyConfig, part: str, recorded: CompareConfig, tmp_path: Path
) -> None:
    with pytest.raises(
        ConfigurationError, match=f"strategy 'f': .* has nothing but recorded answers and cannot be the {part}"
    ):
        prepare(replace(recorded, strategies=(strategy,)), load_models(), tmp_path / "run")


def test_a_preset_of_recorded_models_alone_fuses_nothing() -> None:
    programs = {strategy.program for strategy in preset_config("worksheets", ["recorded/sheets"]).strategies}
    assert programs == {"single", "vote", "vote_parts", "oracle"}
    with_fusor = preset_config("worksheets", ["recorded/sheets"], fusor="embedded/aft").strategies
    assert {strategy.fusor for strategy in with_fusor if strategy.program == "fusion"} == {"embedded/aft"}


@needs_data
def test_vote_and_oracle_on_real_candidates(store: RecordedStore, tmp_path: Path) -> None:
    pytest.importorskip("math_verify")
    assert DATA is not None
    import_file(str(DATA / "gsm8k_pool" / "pool.jsonl.gz"), store)
    pool = tuple(
        f"recorded/gsm8k_pool/{name}"
        for name in ("gpt-3.5-turbo/cot-base", "tora-70b-v1.0", "Mixtral-8x7B-Instruct-v0.1")
    )
    strategies = (StrategyConfig("vote", "vote", "all"), ORACLE)
    config = CompareConfig(
        "gsm8k", strategies, pools={"all": pool}, examples=40, n=3, bank=store.bank.url, data=str(DATA)
    )
    found = finished(prepare(config, load_models(), tmp_path / "run"))
    known = RecordedPool.of(
        "pool", store.questions("gsm8k_pool"), columns=[name.removeprefix("recorded/gsm8k_pool/") for name in pool]
    )
    best = {
        f"gsm8k-{question.id}": quality.max() for question, quality in zip(known.questions, known.quality, strict=True)
    }
    assert len(found) == 80
    assert all(record.score == best[example] for (strategy, example), record in found.items() if strategy == "oracle")
    assert all(record.score <= (record.best_candidate or 0) for record in found.values())
    assert json.loads((tmp_path / "run" / "run.json").read_text())["models"].keys() == set(pool)
