"""Several processes train together: here on the CPU, as they do on GPUs of their own."""

from __future__ import annotations

import json
import resource
from pathlib import Path

import pytest
from conftest import ScriptedLM
from finetuning_problem import EXAMPLES, fine_tuning, program

from dspy_fusion.optimizers.finetuning import Lora, Preferences, SampledProposals
from dspy_fusion.programs import ConfigurationError, RecordError

pytest.importorskip("trl", reason="trl is not installed: pip install 'dspy-fusion[finetune]'")
pytestmark = pytest.mark.usefixtures("plain_adapter")


def test_two_processes_share_each_step(base: Path, tmp_path: Path) -> None:
    shared = {"device": "cpu", "batch_size": 4, "micro_batch": 2, "lora": Lora()}
    seen: list[int] = []
    tuner = fine_tuning(
        base,
        tmp_path,
        processes=2,
        on_progress=lambda progress: seen.append(progress.done) if progress.stage == "training" else None,
        **shared,
    )
    report = tuner.compile(program(), trainset=EXAMPLES).finetuning_report
    assert (report.rows, report.steps, seen) == (12, 3, [1, 2, 3])
    points = [json.loads(line) for line in (tmp_path / "curve.jsonl").read_text().splitlines()]
    assert [point["step"] for point in points] == [1, 2, 3]
    assert {"model", "adapter", "report.json"} <= {path.name for path in tmp_path.iterdir()}
    again = fine_tuning(base, tmp_path, processes=2, **shared).compile(program(), trainset=EXAMPLES)
    assert again.finetuning_report == report


def test_what_cannot_be_dealt_out_is_refused_before_a_model_is_asked(base: Path, tmp_path: Path) -> None:
    lm = ScriptedLM(lambda request: "a")
    drawn = SampledProposals(lm, draws=1, keep=1)
    tuner = fine_tuning(base, tmp_path, processes=3, device="cpu", batch_size=4, proposals=drawn)
    with pytest.raises(ConfigurationError, match="batch_size=4 cannot be dealt out to 3 processes"):
        tuner.compile(program(), trainset=EXAMPLES)
    wanted = Preferences(lambda args, prediction: 1.0, draws=2)
    tuner = fine_tuning(
        base, tmp_path, processes=2, device="cpu", objective="grpo", preferences=wanted, proposals=drawn
    )
    with pytest.raises(ConfigurationError, match="trains in one: processes=1"):
        tuner.compile(program(), trainset=EXAMPLES)
    assert lm.requests == []


def test_a_word_of_the_processes_comes_back_as_an_error(base: Path, tmp_path: Path) -> None:
    tuner = fine_tuning(base, tmp_path, processes=2, device="cpu", batch_size=4, micro_batch=2)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))  # the weights have 3.7 MB
    try:
        with pytest.raises(
            RecordError, match=r"cannot write to .*; earlier checkpoints are safe, the same call goes on"
        ):
            tuner.compile(program(), trainset=EXAMPLES)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert tuner.compile(program(), trainset=EXAMPLES).finetuning_report.steps == 3


def test_adapters_are_merged_in_float32_and_rounded_once(base: Path) -> None:
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    from dspy_fusion.optimizers.finetuning.training import merged

    torch.manual_seed(0)
    settings = LoraConfig(r=4, target_modules=["q_proj"], task_type="CAUSAL_LM", init_lora_weights=False)
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(base, dtype=torch.bfloat16), settings)
    layer = model.base_model.model.model.layers[0].self_attn.q_proj
    factors = [getattr(layer, name)["default"].weight.float() for name in ("lora_B", "lora_A")]
    wanted = (layer.base_layer.weight.float() + layer.scaling["default"] * factors[0] @ factors[1]).bfloat16()
    whole = merged(model)
    assert whole.model.layers[0].self_attn.q_proj.weight.dtype == torch.bfloat16
    assert torch.equal(whole.model.layers[0].self_attn.q_proj.weight, wanted)
