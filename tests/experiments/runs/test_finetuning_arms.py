"""What a training is measured by: an answer that is none scores 0, a model that is not there is no score."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import dspy
import pytest
from conftest import ScriptedLM, is_fusor

from dspy_fusion.experiments.runs.finetuning import FineTuning, prepare_finetuning
from dspy_fusion.experiments.runs.finetuning_arms import measured
from dspy_fusion.experiments.runs.finetuning_config import FineTuningConfig
from dspy_fusion.optimizers.finetuning.aggregation_rows import fusing_program
from dspy_fusion.programs import FusionError
from dspy_fusion.serving.catalogue.models import load_models

CONFIG = {
    "inputs": ["question"],
    "output": "answer",
    "metric": "exact",
    "base": "embedded/solver",
    "examples": 2,
    "held_out": 2,
    "seeds": 1,
    "draws": 2,
    "keep": 2,
    "max_concurrency": 1,
    "program": {"program": "fusion", "pool": "base", "fusor": "base", "n": 2},
}


@pytest.fixture
def tuning(tmp_path: Path) -> FineTuning:
    rows = [{"question": f"What is {i} + {i}?", "answer": "yes"} for i in range(4)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = FineTuningConfig.parse({**CONFIG, "data": str(tmp_path / "rows.jsonl")})
    made = prepare_finetuning(config, load_models(), tmp_path / "run")
    return replace(made, server=None)


def scores(tuning: FineTuning, folder: Path, answer: Callable[[Any], Any]) -> dict[str, list[float]]:
    """The scores of a scripted model, by arm."""
    lm = ScriptedLM(answer)
    program: Any = tuning.program.deepcopy()
    fusing_program(program).fusor_lm = lm
    fusing_program(program).lms = [lm]
    with dspy.context(adapter=dspy.ChatAdapter()):
        arms = measured(tuning, "base", program, folder, lambda done, total: None)
    return {arm: list(values.values()) for arm, values in arms.items()}


def test_what_cannot_be_read_scores_nothing(tuning: FineTuning, tmp_path: Path) -> None:
    assert scores(tuning, tmp_path, lambda request: "I will not say.") == {
        "base alone": [0.0, 0.0],
        "base fusing": [0.0, 0.0],
    }


@pytest.mark.parametrize("fails", [lambda request: True, is_fusor])
def test_a_model_that_is_gone_is_no_score_and_the_same_call_goes_on(
    tuning: FineTuning, tmp_path: Path, fails: Callable[[Any], bool]
) -> None:
    def gone(request: Any) -> Any:
        if fails(request):
            raise ConnectionError("nobody is there")
        return {"answer": "yes"}

    with pytest.raises(FusionError, match=r"1 measurements failed.*nobody is there.*the same call tries the others"):
        scores(tuning, tmp_path, gone)
    (kept,) = tmp_path.glob("measured-base-*")
    values = [json.loads(line)["value"] for line in kept.read_text().splitlines()[1:]]
    assert set(values) <= {1.0}
    both = scores(tuning, tmp_path, lambda request: {"answer": "yes"})
    assert both == {"base alone": [1.0, 1.0], "base fusing": [1.0, 1.0]}


def test_another_metric_measures_anew(tuning: FineTuning, tmp_path: Path) -> None:
    def answer(request: Any) -> Any:
        return {"answer": "yes"}

    assert scores(tuning, tmp_path, answer)["base alone"] == [1.0, 1.0]
    stricter = replace(tuning, task=replace(tuning.task, metric=lambda example, prediction: 0.25))
    assert scores(stricter, tmp_path, answer)["base alone"] == [0.25, 0.25]
    assert len(list(tmp_path.glob("measured-base-*"))) == 2
