"""Real trainings, of seconds each, of an embedded model; they need the extra ``finetune``."""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import dspy
import finetuning_problem
import numpy as np
import pytest
from conftest import ScriptedLM
from finetuning_problem import EXAMPLES, fine_tuning, program
from safetensors.numpy import load_file

from dspy_fusion.optimizers.finetuning import FineTuningProgress, FusorReferences, GivenProposals, Lora
from dspy_fusion.optimizers.finetuning.files.collected import alone_in
from dspy_fusion.programs import ConfigurationError, PlainAdapter
from dspy_fusion.serving.embedded.embedded_model import load_model

pytest.importorskip("trl", reason="trl is not installed: pip install 'dspy-fusion[finetune]'")
pytestmark = pytest.mark.usefixtures("plain_adapter")


@pytest.fixture(scope="module")
def seen() -> list[FineTuningProgress]:
    return []


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("output")


@pytest.fixture(scope="module")
def trained(base: Path, output: Path, seen: list[FineTuningProgress]) -> Any:
    with dspy.context(adapter=PlainAdapter()):
        return fine_tuning(base, output, on_progress=seen.append).compile(program(), trainset=EXAMPLES)


def weights(output: Path, name: str = "model") -> dict[str, np.ndarray]:
    return load_file(output / name / "model.safetensors")


def test_the_trained_model_is_behind_the_fusor(trained: Any, output: Path) -> None:
    assert trained.fusor_lm.model.startswith(f"embedded/{output.name}@")
    assert trained.lms is None
    report = trained.finetuning_report
    assert (report.rows, report.steps, report.objective) == (len(EXAMPLES), 6, "aft")
    with dspy.context(lm=trained.fusor_lm):
        assert trained(worksheet="(a) 1 + 2").pool.fallback is None


def test_the_student_stays_as_it_is(base: Path, output: Path, trained: Any) -> None:
    student = program()
    fine_tuning(base, output).compile(student, trainset=EXAMPLES)
    assert student.fusor_lm is None


def test_the_loss_is_taken_on_the_answer_alone(trained: Any, output: Path) -> None:
    model, first = load_model("sft"), json.loads((output / "curve.jsonl").read_text().splitlines()[0])
    rows = [json.loads(line) for line in (output / "rows.jsonl").read_text().splitlines()]
    found = []
    for row in rows:
        system, user = (message["content"] for message in row["prompt"])
        found.append(
            model.log_likelihood(model.tokenizer.prompt(system, user), row["completion"][0]["content"], ended=True)
        )
    assert first["learning_rate"] == 0  # of the step that this loss is taken before
    means = [-one.mean for one in found]
    assert min(means) < first["loss"] < max(means)


def test_a_batch_of_all_rows_has_the_mean_loss_of_their_answers(base: Path, tmp_path: Path) -> None:
    fine_tuning(base, tmp_path, batch_size=len(EXAMPLES), micro_batch=4, warmup=0.0).compile(
        program(), trainset=EXAMPLES
    )
    model, first = load_model("sft"), json.loads((tmp_path / "curve.jsonl").read_text().splitlines()[0])
    total = tokens = 0.0
    for line in (tmp_path / "rows.jsonl").read_text().splitlines():
        row = json.loads(line)
        system, user = (message["content"] for message in row["prompt"])
        found = model.log_likelihood(model.tokenizer.prompt(system, user), row["completion"][0]["content"], ended=True)
        total, tokens = total - found.total, tokens + found.tokens
    assert first["loss"] == pytest.approx(total / tokens, abs=1e-3)


def test_progress_tells_the_curve(trained: Any, seen: list[FineTuningProgress]) -> None:
    steps = [progress for progress in seen if progress.stage == "training"]
    assert [progress.done for progress in steps] == [1, 2, 3, 4, 5, 6]
    assert all(progress.values["loss"] > 0 for progress in steps)
    assert [progress.done for progress in seen if progress.stage == "references"][-1] == len(EXAMPLES)


def test_the_same_call_trains_once(base: Path, output: Path, trained: Any) -> None:
    again: list[FineTuningProgress] = []
    found = fine_tuning(base, output, on_progress=again.append).compile(program(), trainset=EXAMPLES)
    assert (again, found.fusor_lm.model) == ([], trained.fusor_lm.model)


def test_a_lost_result_is_written_again_from_the_last_checkpoint(base: Path, tmp_path: Path) -> None:
    fine_tuning(base, tmp_path).compile(program(), trainset=EXAMPLES)
    before = weights(tmp_path)
    (tmp_path / "report.json").unlink()
    shutil.rmtree(tmp_path / "model")
    points: list[FineTuningProgress] = []
    fine_tuning(base, tmp_path, on_progress=points.append).compile(program(), trainset=EXAMPLES)
    assert points == []
    assert all(np.array_equal(before[name], value) for name, value in weights(tmp_path).items())


def test_another_setting_in_the_same_folder_is_refused(base: Path, output: Path, trained: Any) -> None:
    with pytest.raises(ConfigurationError, match="made with another learning_rate"):
        fine_tuning(base, output, learning_rate=0.5).compile(program(), trainset=EXAMPLES)


def test_a_killed_training_ends_as_an_undisturbed_one(base: Path, output: Path, trained: Any, tmp_path: Path) -> None:
    command = [sys.executable, str(finetuning_problem.__file__), str(base), str(tmp_path)]
    killed = subprocess.run(command, capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not (tmp_path / "model").exists()
    points: list[FineTuningProgress] = []
    fine_tuning(base, tmp_path, on_progress=points.append).compile(program(), trainset=EXAMPLES)
    assert points[0].done == 5  # step 4 was its last checkpoint
    undisturbed, resumed = weights(output), weights(tmp_path)
    assert all(np.allclose(undisturbed[name], resumed[name], atol=1e-6) for name in undisturbed)
    assert len((tmp_path / "curve.jsonl").read_text().splitlines()) == 6


def test_a_folder_belongs_to_one_process(base: Path, tmp_path: Path) -> None:
    with alone_in(tmp_path), pytest.raises(ConfigurationError, match="another process works in"):
        fine_tuning(base, tmp_path).compile(program(), trainset=EXAMPLES)


def test_adapters_are_merged_and_kept(base: Path, tmp_path: Path) -> None:
    found = fine_tuning(base, tmp_path, lora=Lora(rank=2, alpha=4), learning_rate=1e-2).compile(
        program(), trainset=EXAMPLES
    )
    assert json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())["r"] == 2
    before, after = load_file(base / "model.safetensors"), weights(tmp_path)
    name = "model.layers.0.mlp.up_proj.weight"
    assert 0 < np.linalg.matrix_rank(after[name] - before[name], tol=1e-4) <= 2
    assert np.array_equal(before["model.embed_tokens.weight"], after["model.embed_tokens.weight"])
    assert found.finetuning_report.adapter == str(tmp_path / "adapter")
    peft, transformers = pytest.importorskip("peft"), pytest.importorskip("transformers")
    adapted = peft.PeftModel.from_pretrained(
        transformers.AutoModelForCausalLM.from_pretrained(base), tmp_path / "adapter"
    )
    merged = adapted.merge_and_unload().state_dict()
    assert all(np.allclose(merged[key].numpy(), value, atol=1e-6) for key, value in after.items())


def test_another_architecture_is_trained_the_same_way(base: Path, tmp_path: Path) -> None:
    import transformers

    qwen = _copy(base, tmp_path)
    sizes = {"vocab_size": 284, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
    config = transformers.Qwen2Config(
        **sizes, num_attention_heads=2, num_key_value_heads=1, max_position_embeddings=512
    )
    transformers.Qwen2ForCausalLM(config).save_pretrained(qwen)
    tuner = fine_tuning(qwen, tmp_path / "out", lora=Lora(), serve=lambda folder: ScriptedLM(lambda request: "a"))
    trained: Any = tuner.compile(program(), trainset=EXAMPLES)
    assert trained.finetuning_report.steps == 6
    saved = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "out" / "model")
    assert saved.config.model_type == "qwen2"


def test_the_trained_model_can_propose_too(base: Path, output: Path, trained: Any) -> None:
    tuner = fine_tuning(base, output, behind="everything")
    both: Any = tuner.compile(program(), trainset=EXAMPLES)
    assert [lm.model for lm in both.lms] == [both.fusor_lm.model]


@pytest.mark.parametrize(
    ("objective", "shows"), [("sft", False), ("no_proposals", False), ("pseudo_aggregation", True)]
)
def test_the_baselines_are_one_option_away(base: Path, tmp_path: Path, objective: str, shows: bool) -> None:
    scored = [dspy.Example(**example.toDict(), scores=[0.0, 1.0, 0.5]).with_inputs("worksheet") for example in EXAMPLES]
    references = FusorReferences(ScriptedLM(lambda request: "(a) 0 + 0 = 0"))
    options = {"objective": objective, "references": references, "proposals": GivenProposals(scores="scores")}
    fine_tuning(base, tmp_path, epochs=0.5, **options).compile(program(), trainset=scored)
    first = json.loads((tmp_path / "rows.jsonl").read_text().splitlines()[0])
    assert ("Response 1:" in first["prompt"][0]["content"]) is shows
    assert first["completion"][0]["content"] == (EXAMPLES[0].proposals[1] if objective == "sft" else "(a) 0 + 0 = 0")


def test_rows_are_told_what_to_do_in_several_ways(base: Path, tmp_path: Path) -> None:
    fine_tuning(base, tmp_path, instructions=["Merge them."]).compile(program(), trainset=EXAMPLES)
    told = [json.loads(line)["prompt"][0]["content"] for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    shown = [text for text in told if "Response 1:" in text]
    task = "Work out every part of the worksheet."
    assert all(text.startswith(f"{task}\n\n") for text in shown)
    merging = [text for text in shown if text.startswith(f"{task}\n\nMerge them.\n\nResponse 1:")]
    assert 0 < len(merging) < len(shown)


def test_empty_instructions_are_refused(base: Path, tmp_path: Path) -> None:
    for wrong in ("Merge them.", ["Merge them.", " "]):
        with pytest.raises(ConfigurationError, match="instructions must be a list of texts"):
            fine_tuning(base, tmp_path, instructions=wrong)


def test_training_leaves_the_random_generators_alone(base: Path, tmp_path: Path) -> None:
    student, tuner, before = program(), fine_tuning(base, tmp_path), random.getstate()
    tuner.compile(student, trainset=EXAMPLES)
    assert random.getstate() == before


def test_a_checkpoint_without_a_chat_template_is_refused(base: Path, tmp_path: Path) -> None:
    bare = _copy(base, tmp_path)
    (bare / "chat_template.jinja").unlink()
    with pytest.raises(ConfigurationError, match=r"has no chat template.*Training"):
        fine_tuning(bare, tmp_path / "out").compile(program(), trainset=EXAMPLES)


def test_a_template_that_knows_no_system_text_is_refused(base: Path, tmp_path: Path) -> None:
    template = (
        "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('No system role') }}{% endif %}"
        "{{ m.content }}#{% endfor %}"
    )
    with pytest.raises(ConfigurationError, match="cannot write the roles system, user, assistant: No system role"):
        fine_tuning(base, tmp_path, chat_template=template).compile(program(), trainset=EXAMPLES)


def test_rows_that_are_too_long_are_refused_or_shortened(base: Path, tmp_path: Path) -> None:
    with pytest.raises(
        ConfigurationError, match=r"too long for .*, which takes 45 tokens: that of example \d+ has \d+ with its 3 prop"
    ):
        fine_tuning(base, tmp_path / "refused", max_length=45).compile(program(), trainset=EXAMPLES)
    shorter = fine_tuning(base, tmp_path / "shorter", max_length=45, too_long="drop_proposals").compile(
        program(), trainset=EXAMPLES
    )
    assert shorter.finetuning_report.tokens <= 45
    assert shorter.finetuning_report.dropped_proposals > 0


def test_a_large_model_needs_a_gpu(base: Path, tmp_path: Path) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    large = _copy(base, tmp_path)
    config = json.loads((large / "config.json").read_text())
    (large / "config.json").write_text(
        json.dumps({**config, "hidden_size": 4096, "num_hidden_layers": 32, "intermediate_size": 14336})
    )
    with pytest.raises(ConfigurationError, match="billion parameters and needs a GPU"):
        fine_tuning(large, tmp_path / "out").compile(program(), trainset=EXAMPLES)
    with pytest.raises(ConfigurationError, match="device='cuda' needs a GPU"):
        fine_tuning(base, tmp_path / "out", device="cuda").compile(program(), trainset=EXAMPLES)


def test_a_missing_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"cannot load the checkpoint '.*nowhere'"):
        fine_tuning(tmp_path / "nowhere", tmp_path).compile(program(), trainset=EXAMPLES)


def _copy(base: Path, folder: Path) -> Path:
    copied = folder / "base"
    copied.mkdir()
    for path in base.iterdir():
        (copied / path.name).write_bytes(path.read_bytes())
    return copied
