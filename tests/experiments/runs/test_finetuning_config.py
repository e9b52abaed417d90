from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dspy_fusion.experiments.runs.finetuning import prepare_finetuning
from dspy_fusion.experiments.runs.finetuning_config import FineTuningConfig
from dspy_fusion.optimizers.finetuning import Lora, Training
from dspy_fusion.programs.errors import ConfigurationError
from dspy_fusion.serving.catalogue.models import load_models

PROGRAM = {"program": "fusion", "pool": "embedded/aft", "fusor": "embedded/aft"}
GIVEN: dict[str, Any] = {"task": "worksheets", "base": "embedded/aft", "program": PROGRAM}
CONFIGS = Path(__file__).parents[3]


@pytest.mark.parametrize("path", ["experiments/configs/finetune.toml", "examples/vllm_aft/finetune.toml"])
def test_the_shipped_files_can_be_read(path: str) -> None:
    assert FineTuningConfig.read(CONFIGS / path).objective == "aft"


def test_training_is_the_papers_unless_it_is_said_otherwise() -> None:
    paper = Training(Lora(rank=8), learning_rate=1e-4, warmup=0.1, epochs=1.0, batch_size=128)
    assert FineTuningConfig.parse(GIVEN).training == paper
    assert FineTuningConfig.parse({**GIVEN, "training": {"lora": False}}).training.lora is None
    assert FineTuningConfig.parse({**GIVEN, "training": {"lora": {"rank": 16}}}).training.lora == Lora(rank=16)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"objective": "ppo"}, "objective must be one of aft, sft"),
        ({"examples": 0}, "examples must be at least 1"),
        ({"scorer": "votes"}, "scorer must be one of metric, judge, reward_model or empty"),
        ({"scorer": "judge"}, 'scorer = "judge" needs a model'),
        ({"base": "org/model"}, "proposers is missing"),
        ({"base": "org/model", "proposers": "embedded/sft", "held_out": 5}, "must run on this machine"),
        ({"file": "rows.jsonl", "proposers": "embedded/sft"}, "leave out proposers"),
        ({"held_out": 5, "held_out_split": "train"}, "must differ"),
        ({"training": {"rate": 1}}, r"\[training\]: unknown key 'rate'"),
        ({"training": {"lora": 8}}, r"lora is a \[training.lora\] table, or false"),
        ({"training": {"batch_size": 12}}, "batch_size=12 is no multiple of micro_batch=8"),
        ({"training": {"warmup": 1.0}}, r"warmup must be in \[0, 1\)"),
        ({"training": {"lora": {"rank": 0}}}, "rank must be a whole number of at least 1, but got rank=0"),
        ({"training": {"device": "tpu"}}, "device must be one of auto, cpu, cuda"),
        ({"program": {**PROGRAM, "pools": 1}}, "unknown key 'pools'"),
    ],
)
def test_what_is_wrong_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        FineTuningConfig.parse({**GIVEN, **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"program": {"program": "vote", "pool": "embedded/aft"}}, "'vote' has no fusor"),
        ({"base": "org/model", "proposers": "embedded/sft"}, "serve is missing"),
        ({"proposers": "nobody"}, "no model is called 'nobody'"),
    ],
)
def test_what_cannot_be_built_is_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    config = FineTuningConfig.parse({**GIVEN, "examples": 2, **changes})
    with pytest.raises(ConfigurationError, match=message):
        prepare_finetuning(config, load_models(), tmp_path / "run")


def test_examples_can_come_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(
        '{"worksheet": "(a) 1 + 2", "answers": "(a) 1 + 2 = 3", "proposals": ["(a) 1 + 2 = 4"], "scores": [0.0]}\n'
    )
    tuning = prepare_finetuning(FineTuningConfig.parse({**GIVEN, "file": str(path)}), load_models(), tmp_path / "run")
    assert [example.proposals for example in tuning.examples] == [["(a) 1 + 2 = 4"]]
    path.write_text('{"worksheet": "(a) 1 + 2"}\n')
    with pytest.raises(ConfigurationError, match="line 1 lacks a column 'proposals'; its columns are: worksheet"):
        prepare_finetuning(FineTuningConfig.parse({**GIVEN, "file": str(path)}), load_models(), tmp_path / "run")
