"""Comparisons on tasks with data: with models that answer by a script, and with the embedded ones,
whose answers are nonsense.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import ScriptedLM, answers, prompt_of
from shared_data import DATA, needs_data

from dspy_fusion.experiments.plans.comparison_config import CompareConfig, StrategyConfig
from dspy_fusion.experiments.plans.default_strategies import preset_config
from dspy_fusion.experiments.plans.strategies import planned
from dspy_fusion.experiments.records.record import Record
from dspy_fusion.experiments.runs.comparison import prepare
from dspy_fusion.programs.errors import ConfigurationError, RecordError
from dspy_fusion.serving.catalogue.model_entry import Price
from dspy_fusion.serving.catalogue.models import load_models

VOTE = StrategyConfig("vote", "vote", "model")
SUMS = [("1 + 1", "2"), ("500 + 500", "1,000")]


class Scripted:
    """Models by name, each of which answers by a function."""

    def __init__(self, **models: Callable[[Any], Any]) -> None:
        self.models = {name: ScriptedLM(answer, name=f"scripted/{name}") for name, answer in models.items()}

    def lm(self, name: str) -> ScriptedLM:
        return self.models[name]

    def price(self, name: str) -> Price:
        return Price()


@pytest.fixture
def sums(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    (folder / "gsm8k").mkdir(parents=True)
    lines = [json.dumps({"question": question, "answer": f"so\n#### {answer}"}) for question, answer in SUMS]
    (folder / "gsm8k" / "test.jsonl").write_text("\n".join(lines))
    return folder


def run(config: CompareConfig, models: Any, path: Path) -> tuple[Record, ...]:
    comparison = prepare(config, models, path)
    try:
        comparison.run(lambda record: None)
    finally:
        comparison.records.close()
    return comparison.records.records


def config(data: Path, **options: Any) -> CompareConfig:
    return CompareConfig(
        **{"task": "gsm8k", "strategies": (VOTE,), "examples": 2, "n": 3, "data": str(data), **options}
    )


def test_votes_compare_numbers_and_not_their_spelling(sums: Path, tmp_path: Path) -> None:
    texts = ("7", "$1,000", "1000.00")
    models = Scripted(model=lambda request: {"reasoning": "", "answer": texts[request.config.seed % 3]})
    record = next(record for record in run(config(sums), models, tmp_path / "run") if record.expected == "1,000")
    assert (record.score, record.answer, record.right_candidates) == (1, "$1,000", 2)


def test_unreadable_answers_count_zero_and_as_unreadable(sums: Path, tmp_path: Path) -> None:
    models = Scripted(
        model=lambda request: {"reasoning": "", "answer": "no idea" if "1 + 1" in prompt_of(request) else "1000"}
    )
    records = run(config(sums), models, tmp_path / "run")
    assert sorted((record.score, record.aspects["readable"], record.expected) for record in records) == [
        (0, 0, "2"),
        (1, 1, "1,000"),
    ]


def test_the_run_says_what_it_asked(sums: Path, tmp_path: Path) -> None:
    with (sums / "gsm8k" / "test.jsonl").open("a") as file:
        file.write('\n{"question": "?", "answer": "unknown"}\n')
    run(config(sums), Scripted(model=lambda request: {"reasoning": "", "answer": "2"}), tmp_path / "run")
    about = json.loads((tmp_path / "run" / "run.json").read_text())["examples"]
    assert (about["count"], about["set_aside"], len(about["digest"])) == (2, 1, 12)
    assert "test.jsonl, line 3: the solution has no line" in about["set_aside_first"][0]


def test_a_run_does_not_go_on_with_other_examples(sums: Path, tmp_path: Path) -> None:
    models = Scripted(model=lambda request: {"reasoning": "", "answer": "2"})
    assert run(config(sums), models, tmp_path / "run") == run(config(sums), models, tmp_path / "run")
    (sums / "gsm8k" / "test.jsonl").write_text(
        '{"question": "2 + 2", "answer": "#### 4"}\n{"question": "3", "answer": "#### 3"}\n'
    )
    with pytest.raises(RecordError, match=r"holds another run \(examples: "):
        prepare(config(sums), models, tmp_path / "run")


def test_a_judge_is_none_of_those_that_answer_unless_that_is_wanted(sums: Path, tmp_path: Path) -> None:
    models = Scripted(model=answers("2"), other=answers("2"))
    asked = config(sums, metric_judge="model")
    with pytest.raises(
        ConfigurationError, match="metric_judge 'model' would grade its own answers, as 'model' of this comparison"
    ):
        prepare(asked, models, tmp_path / "run")
    for allowed in (replace(asked, judge_may_answer=True), replace(asked, metric_judge="other")):
        prepare(allowed, models, tmp_path / allowed.metric_judge).records.close()


def test_a_judge_that_is_needed_is_asked_for_before_anything_is_called(tmp_path: Path) -> None:
    models = Scripted(model=answers("2"))
    with pytest.raises(ConfigurationError, match="the metric of mt_bench asks a judge; name a model: metric_judge"):
        prepare(config(tmp_path, task="mt_bench"), models, tmp_path / "run")


def test_new_keys_keep_old_digests_and_are_checked() -> None:
    table: dict[str, Any] = {"task": "mgsm", "strategy": [{"name": "vote", "program": "vote", "pool": "m"}]}
    plain, chosen = CompareConfig.parse(table), CompareConfig.parse(table | {"languages": ["de"]})
    assert CompareConfig.parse(table | {"data": "elsewhere"}).digest == plain.digest != chosen.digest
    assert "languages" not in plain.relevant
    with pytest.raises(ConfigurationError, match=r"languages must be a list of texts, but got 'de'"):
        CompareConfig.parse(table | {"languages": "de"})


def test_the_preset_follows_the_task() -> None:
    names = {strategy.name for strategy in preset_config("wmt24pp", ["a", "b"]).strategies}
    assert "vote" not in names
    assert preset_config("strategyqa", ["a"], models="models.toml").models == "models.toml"
    assert {"vote", "fusion", "oracle"} <= {strategy.name for strategy in preset_config("gsm8k", ["a", "b"]).strategies}


@pytest.mark.parametrize("name", ["demo", "mgsm"])
def test_the_example_configurations_are_valid(name: str) -> None:
    import dspy_fusion.experiments.plans.comparison_config as module

    read = CompareConfig.read(Path(module.__file__).parents[1] / "configs" / f"{name}.toml")
    assert len(planned(read)) >= len(read.strategies)


@needs_data
@pytest.mark.parametrize(
    ("task", "languages"), [("strategyqa", ()), ("mmlu", ()), ("geofact_x", ("sw",)), ("wmt24pp", ("tr_TR",))]
)
def test_embedded_models_take_part_in_real_tasks(task: str, languages: tuple[str, ...], tmp_path: Path) -> None:
    """Some of their answers never end, which is a failure and counts 0; the others are nonsense, which is graded."""
    catalogue = tmp_path / "models.toml"
    catalogue.write_text(
        "".join(
            f'[{name}]\noverride = true\nmodel = "embedded/{name}"\nsampling = {{ max_tokens = 96 }}\n'
            for name in ("plus", "aft")
        )
    )
    options: dict[str, Any] = {"examples": 2, "n": 2, "data": str(DATA), "languages": languages, "adapter": "plain"}
    comparison = prepare(
        preset_config(task, ["plus"], fusor="aft", likelihood=True, **options), load_models(str(catalogue)), tmp_path
    )
    comparison.run(lambda record: None)
    records = comparison.records.records
    assert len(records) == comparison.total
    assert any(record.error is None and record.answer for record in records)
    assert {r.error for r in records if r.error and "AnswerCutOff" not in r.error} == set()
    assert {r.score for r in records if r.error} <= {0}
