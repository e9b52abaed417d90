"""DPO and GRPO on the aggregations of one pool: what is learned, what is left out, what is refused."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path
from typing import Any

import dspy
import pytest
from conftest import ScriptedLM, prompt_of
from finetuning_problem import EXAMPLES, fine_tuning, program

from dspy_fusion.optimizers.finetuning import Preferences, RowFineTuning, Training, TrainingRow, read_training_rows
from dspy_fusion.optimizers.finetuning.rewards import pass_at_rewards
from dspy_fusion.programs import ConfigurationError
from dspy_fusion.serving.embedded.huggingface import huggingface_lm, to_huggingface

pytestmark = pytest.mark.usefixtures("plain_adapter")

GOLD = {example.worksheet: example.answers for example in EXAMPLES}


def right(args: dict[str, Any], prediction: dspy.Prediction) -> float:
    return float(prediction.answers.strip() == GOLD[args["worksheet"]])


def one_in_three(request: Any) -> str:
    """Every third answer is right; of one sheet none is."""
    asked = next(text for text in GOLD if prompt_of(request) == text)
    place = (request.config.seed or 0) % 3
    return GOLD[asked] if place == 0 and asked != EXAMPLES[0].worksheet else f"wrong {place}"


def small(**changes: Any) -> Training:
    return Training(lora=None, learning_rate=1e-3, checkpoint_every=50, log_every=1, threads=1, **changes)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("trl", reason="trl is not installed: pip install 'dspy-fusion[finetune]'")
    return to_huggingface("aft", tmp_path_factory.mktemp("base"))


def test_dpo_prefers_the_best_aggregation_of_a_pool_to_the_worst(base: Path, tmp_path: Path) -> None:
    lm = ScriptedLM(one_in_three)
    wanted = Preferences(right, lm=lm, draws=3)
    tuner = fine_tuning(base, tmp_path, objective="dpo", preferences=wanted, group_by_length=True)
    report = tuner.compile(program(), trainset=EXAMPLES).finetuning_report
    assert (report.rows, report.unpaired) == (len(EXAMPLES) - 1, 1)
    assert "1 examples were left out: no aggregation of theirs is better than another" in report.notes
    assert len(lm.requests) == 3 * len(EXAMPLES)
    rows = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    assert {row["chosen"][0]["content"] for row in rows} == {e.answers for e in EXAMPLES[1:]}
    assert all(row["rejected"][0]["content"].startswith("wrong") for row in rows)
    assert all("Response 3" in row["prompt"][0]["content"] for row in rows)
    assert next(row.rejected for row in read_training_rows(tmp_path / "rows.jsonl")).startswith("wrong")
    points = [json.loads(line) for line in (tmp_path / "curve.jsonl").read_text().splitlines()]
    assert points[-1]["rewards/margins"] > points[0]["rewards/margins"]
    again = tuner.compile(program(), trainset=EXAMPLES)
    assert again.finetuning_report == report
    assert len(lm.requests) == 3 * len(EXAMPLES)


def test_another_scorer_or_number_of_draws_is_another_training(base: Path, tmp_path: Path) -> None:
    lm = ScriptedLM(one_in_three)
    fine_tuning(base, tmp_path, objective="dpo", preferences=Preferences(right, lm=lm, draws=3)).compile(
        program(), trainset=EXAMPLES
    )
    other = fine_tuning(base, tmp_path, objective="dpo", preferences=Preferences(right, lm=lm, draws=6))
    with pytest.raises(ConfigurationError, match=r"made with another preferences\.draws"):
        other.compile(program(), trainset=EXAMPLES)


def test_grpo_rewards_what_the_model_draws(base: Path, tmp_path: Path) -> None:
    asked: list[str] = []

    def reward(args: dict[str, Any], prediction: dspy.Prediction) -> float:
        asked.append(args["worksheet"])
        return right(args, prediction)

    wanted = Preferences(reward, draws=4, answer_tokens=24, pass_at=2)
    tuner = fine_tuning(
        base, tmp_path, objective="grpo", preferences=wanted, plain_share=0.5, batch_size=8, micro_batch=8
    )
    compiled = tuner.compile(program(), trainset=EXAMPLES[:6])
    assert compiled.finetuning_report.steps == 3  # six rows, four answers to each, eight in a step
    assert set(asked) == {example.worksheet for example in EXAMPLES[:6]}
    points = [json.loads(line) for line in (tmp_path / "curve.jsonl").read_text().splitlines()]
    assert all(0 <= point["reward"] <= 1 for point in points)
    rows = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    assert {row["proposals"] for row in rows} == {0, 3}
    assert (tmp_path / "model" / "model.safetensors").exists()


def test_what_was_collected_is_shared_with_other_objectives(base: Path, tmp_path: Path) -> None:
    kept = {"collected": tmp_path / "kept", "warmup": 0.0}
    fine_tuning(base, tmp_path / "aft", **kept).compile(program(), trainset=EXAMPLES[:2])
    wanted = Preferences(right, draws=2, answer_tokens=8)
    tuner = fine_tuning(base, tmp_path / "grpo", objective="grpo", preferences=wanted, **kept)
    assert tuner.compile(program(), trainset=EXAMPLES[:2]).finetuning_report.rows == 2


def test_pass_at_rewards_are_the_mean_best_of_the_sets_that_hold_an_answer() -> None:
    scores = [0.0, 1.0, 0.25, 0.5, 0.5]
    for k in (1, 2, 3, 5):
        sets = [set(one) for one in itertools.combinations(range(5), k)]
        for place in range(5):
            mean = math.fsum(max(scores[i] for i in one) for one in sets if place in one) / math.comb(4, k - 1)
            assert pass_at_rewards(scores, k)[place] == pytest.approx(mean)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"draws": 1}, "draws must be a whole number of at least 2"),
        ({"pass_at": 9}, r"pass_at=9 is more than draws=8"),
        ({"temperature": 0}, r"temperature must be in \(0, 2\]"),
        ({"beta": -1}, "beta must be at least 0"),
        ({"margin": float("nan")}, "margin must be"),
        ({"scorer": "metric"}, "scorer must be a function or a scorer"),
    ],
)
def test_wrong_numbers_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Preferences(**{"scorer": right, **options})


def test_what_cannot_be_learned_is_refused_before_a_model_is_asked(tmp_path: Path) -> None:
    lm = ScriptedLM(lambda request: "same")
    with pytest.raises(ConfigurationError, match=r"objective='dpo' needs to know which answer is better"):
        fine_tuning(tmp_path, tmp_path / "out", objective="dpo").compile(program(), trainset=EXAMPLES)
    with pytest.raises(ConfigurationError, match=r"batch_size=2 counts answers here, .* multiple of draws=4"):
        fine_tuning(tmp_path, tmp_path / "out", objective="grpo", preferences=Preferences(right, draws=4))
    with pytest.raises(ConfigurationError, match="set plain_share=0"):
        fine_tuning(tmp_path, tmp_path, objective="dpo", preferences=Preferences(right, lm=lm), plain_share=0.5)
    assert lm.requests == []


def test_a_pool_without_a_better_answer_anywhere_says_so(base: Path, tmp_path: Path) -> None:
    lm = ScriptedLM(lambda request: "same")
    tuner = fine_tuning(base, tmp_path, objective="dpo", preferences=Preferences(right, lm=lm, draws=2))
    with pytest.raises(ConfigurationError, match=r"none of 12 examples has two aggregations of which one is better"):
        tuner.compile(program(), trainset=EXAMPLES)


def test_preferences_of_a_file_are_learned_as_they_are(base: Path, tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    rows = [{"system": "Be right.", "prompt": e.worksheet, "chosen": e.answers, "rejected": "(a) 1"} for e in EXAMPLES]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    rows_read = list(read_training_rows(path))
    tuner = RowFineTuning(
        base, rows_read, output=tmp_path / "out", serve=huggingface_lm, training=small(batch_size=2, micro_batch=2)
    )
    report = tuner.compile(program()).finetuning_report
    assert (report.rows, report.steps) == (12, 6)
    written = json.loads((tmp_path / "out" / "rows.jsonl").read_text().splitlines()[0])
    assert set(written) == {"prompt", "chosen", "rejected"}
    mixed = [*rows_read, TrainingRow(rows_read[0].prompt, "an answer alone")]
    with pytest.raises(ConfigurationError, match="12 of 13 rows are preferences"):
        RowFineTuning(base, mixed, output=tmp_path / "mixed", serve=huggingface_lm)
