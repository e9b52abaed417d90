"""What a training never does to a user's files, and what it refuses before anything is paid for."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import dspy
import pytest
from conftest import ScriptedLM
from finetuning_problem import EXAMPLES, fine_tuning, program
from safetensors.numpy import load_file, save_file

from dspy_fusion.optimizers.finetuning import FusorReferences, Lora, SampledProposals, Training
from dspy_fusion.programs import ConfigurationError, PlainAdapter, RecordError
from dspy_fusion.serving.catalogue.models import load_models
from dspy_fusion.serving.embedded.huggingface import huggingface_lm
from dspy_fusion.serving.endpoint.saved_program import load_program, save_program

pytest.importorskip("trl", reason="trl is not installed: pip install 'dspy-fusion[finetune]'")
pytestmark = pytest.mark.usefixtures("plain_adapter")


@pytest.fixture(scope="module")
def output(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    with dspy.context(adapter=PlainAdapter()):
        fine_tuning(base, folder, log_every=10).compile(program(), trainset=EXAMPLES)
    return folder


FOREIGN = (
    "model/mine.bin",
    "checkpoints/checkpoint-500/weights.bin",
    "rows.jsonl",
    "about.json",
    "notes.txt",
    "cache/x",
)


@pytest.mark.parametrize("name", FOREIGN)
def test_a_folder_with_other_files_is_refused_and_left_as_it_is(base: Path, tmp_path: Path, name: str) -> None:
    mine = tmp_path / "out" / name
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    lm = ScriptedLM(lambda request: "a")
    tuner = fine_tuning(base, tmp_path / "out", proposals=SampledProposals(lm, draws=1, keep=1))
    with pytest.raises(ConfigurationError, match=f"holds {name.partition('/')[0]}.*nothing was touched"):
        tuner.compile(program(), trainset=EXAMPLES)
    assert mine.read_text() == "mine"
    assert lm.requests == []
    assert [path for path in (tmp_path / "out").rglob("*") if path.is_file()] == [mine]


@pytest.mark.parametrize("name", ["model/mine.bin", "checkpoints/checkpoint-500/weights.bin", "model/sub/mine.bin"])
def test_what_is_put_beside_our_results_later_is_never_removed(
    output: Path, base: Path, tmp_path: Path, name: str
) -> None:
    folder = tmp_path / "out"
    shutil.copytree(output, folder)
    mine = folder / name
    mine.parent.mkdir(parents=True, exist_ok=True)
    mine.write_text("mine")
    (folder / "report.json").unlink()
    with pytest.raises(ConfigurationError, match=Path(name).name):
        fine_tuning(base, folder, log_every=10).compile(program(), trainset=EXAMPLES)
    assert mine.read_text() == "mine"


def test_collected_files_of_somebody_else_are_left_alone(base: Path, tmp_path: Path) -> None:
    mine = tmp_path / "kept" / "references.jsonl"
    mine.parent.mkdir()
    mine.write_text('{"mine": 1}')  # without a line feed
    with pytest.raises(RecordError, match="no file of a fine-tuning"):
        fine_tuning(base, tmp_path / "out", collected=tmp_path / "kept").compile(program(), trainset=EXAMPLES)
    assert mine.read_text() == '{"mine": 1}'


def test_the_base_is_never_written_over(base: Path, tmp_path: Path, output: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"the base .* lies where the trained model would be written"):
        fine_tuning(output / "model", output).compile(program(), trainset=EXAMPLES)
    own = tmp_path / "own"
    shutil.copytree(base, own)
    with pytest.raises(ConfigurationError, match="lies where the trained model would be written"):
        fine_tuning(own, own).compile(program(), trainset=EXAMPLES)
    assert {path.name for path in own.iterdir()} == {path.name for path in base.iterdir()}


def test_a_short_run_has_a_curve_and_its_tokens_go_on(output: Path, base: Path, tmp_path: Path) -> None:
    points = [json.loads(line) for line in (output / "curve.jsonl").read_text().splitlines()]
    assert [point["step"] for point in points] == [1, 2, 3, 4, 5, 6]
    folder = tmp_path / "out"
    shutil.copytree(output, folder)
    for name in ("report.json", "model", "checkpoints/checkpoint-6"):
        path = folder / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    fine_tuning(base, folder, log_every=10).compile(program(), trainset=EXAMPLES)
    again = [json.loads(line) for line in (folder / "curve.jsonl").read_text().splitlines()]
    assert [point["num_tokens"] for point in again] == [point["num_tokens"] for point in points]


def test_few_steps_and_equal_examples_are_said(base: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tuner = fine_tuning(base, tmp_path, batch_size=4, micro_batch=4)
    report = tuner.compile(program(), trainset=[*EXAMPLES, EXAMPLES[0]]).finetuning_report
    assert report.merged == 1
    assert "1 examples equal others" in report.notes[0]
    assert "3 steps (batch_size=4, epochs=1, 12 rows) are few" in report.notes[-1]
    assert "are few" in caplog.text


def test_one_example_can_be_trained_on(base: Path, tmp_path: Path) -> None:
    tuner = fine_tuning(base, tmp_path, warmup=0.0, epochs=3.0)
    assert tuner.compile(program(), trainset=EXAMPLES[:1]).finetuning_report.steps == 3
    with pytest.raises(ConfigurationError, match=r"warmup=0.1 takes 1 of 1 step .* nothing would be learned"):
        fine_tuning(base, tmp_path / "short").compile(program(), trainset=EXAMPLES[:1])
    assert not (tmp_path / "short").exists()


def spoilt(base: Path, folder: Path, what: str) -> Path:
    shutil.copytree(base, folder)
    weights = folder / "model.safetensors"
    if what == "no weights":
        weights.unlink()
    elif what == "cut":
        weights.write_bytes(weights.read_bytes()[:-1000])
    elif what == "garbage":
        weights.write_bytes(b"garbage" * 100)
    else:
        held = load_file(weights)
        del held["model.norm.weight"]
        save_file(held, weights, metadata={"format": "pt"})
    return folder


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("no weights", "has no weights"),
        ("cut", "cannot read the weights in"),
        ("garbage", "cannot read the weights in"),
        ("lacking", "model.norm.weight is missing"),
    ],
)
def test_spoilt_weights_are_named_before_anything_is_asked(base: Path, tmp_path: Path, what: str, message: str) -> None:
    lm = ScriptedLM(lambda request: "a")
    wrong = spoilt(base, tmp_path / "base", what)
    tuner = fine_tuning(wrong, tmp_path / "out", proposals=SampledProposals(lm, draws=1, keep=1))
    with pytest.raises(ConfigurationError, match=message) as caught:
        tuner.compile(program(), trainset=EXAMPLES)
    assert "\n" not in str(caught.value)
    assert lm.requests == []


@pytest.mark.parametrize(
    ("lora", "message"),
    [
        ({"targets": ("nowhere",)}, "no layer of .* is called 'nowhere'; there are .*q_proj"),
        ({"targets": ("q_proj", "nowhere")}, "is called 'nowhere'"),
        ({"targets": "nowhere"}, "fit no layer of"),
        ({"targets": ("q_proj", "lm_head")}, "lm_head has the same weights as the other end"),
        ({"rank": 4096}, "rank=4096 is larger than the layers"),
    ],
)
def test_adapters_that_fit_nothing_are_named(base: Path, tmp_path: Path, lora: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        fine_tuning(base, tmp_path, lora=Lora(**lora)).compile(program(), trainset=EXAMPLES)


@pytest.mark.parametrize("rank", [8.5, "8", True, 0, None])
def test_ranks_are_whole_numbers(rank: Any) -> None:
    with pytest.raises(ConfigurationError, match="rank must be a whole number of at least 1, but got rank="):
        Lora(rank=rank)


@pytest.mark.parametrize(("name", "value"), [("batch_size", 2.5), ("learning_rate", "fast"), ("epochs", float("nan"))])
def test_numbers_of_a_training_are_numbers(name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"{name} must be"):
        Training(**{name: value})


def test_a_saved_program_answers_the_same_after_loading(output: Path, base: Path, tmp_path: Path) -> None:
    compiled: Any = fine_tuning(base, output, log_every=10).compile(program(), trainset=EXAMPLES)
    compiled.save(tmp_path / "x.json")
    loaded = program()
    loaded.load(tmp_path / "x.json")
    assert loaded.fusor_lm.model == compiled.fusor_lm.model
    assert isinstance(loaded.trained.adapter, PlainAdapter)
    with dspy.context(lm=huggingface_lm(base), adapter=PlainAdapter()):
        assert loaded(worksheet="(a) 12 + 3").answers == compiled(worksheet="(a) 12 + 3").answers
    nested = dspy.Module()
    nested.inner = program()
    state = {f"inner.{name}": part for name, part in compiled.dump_state().items()}
    nested.load_state(state)
    assert nested.inner.fusor_lm.model == compiled.fusor_lm.model


def test_loading_refuses_a_model_that_is_gone_or_another(output: Path, base: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    compiled: Any = fine_tuning(base, folder).compile(program(), trainset=EXAMPLES)
    compiled.save(tmp_path / "x.json")
    weights = folder / "model" / "model.safetensors"
    held = weights.read_bytes()
    save_file({name: value + 1 for name, value in load_file(weights).items()}, weights, metadata={"format": "pt"})
    with pytest.raises(ConfigurationError, match=r"the weights in .* have the digest"):
        program().load(tmp_path / "x.json")
    weights.write_bytes(held)
    shutil.rmtree(folder / "model")
    with pytest.raises(ConfigurationError, match=r"checkpoint .* is not there"):
        program().load(tmp_path / "x.json")


def test_a_served_model_has_to_be_given_again(base: Path, output: Path, tmp_path: Path) -> None:
    served = dspy.LM("hosted_vllm/aft", api_base="http://127.0.0.1:9/v1", api_key="none")
    compiled: Any = fine_tuning(base, output, log_every=10, serve=lambda folder: served).compile(
        program(), trainset=EXAMPLES
    )
    compiled.save(tmp_path / "x.json")
    with pytest.raises(ConfigurationError, match=r"the trained model 'hosted_vllm/aft' at http.*, but none"):
        program().load(tmp_path / "x.json")
    again = program()
    again.fusor_lm = served.copy()
    again.load(tmp_path / "x.json")
    other = program()
    other.fusor_lm = dspy.LM("hosted_vllm/aft", api_base="http://127.0.0.1:8/v1", api_key="none")
    with pytest.raises(ConfigurationError, match="the trained model 'hosted_vllm/aft' at"):
        other.load(tmp_path / "x.json")


@pytest.mark.parametrize("behind", ["fusor", "everything"])
def test_a_trained_program_is_served_without_a_catalogue_entry(
    output: Path, base: Path, tmp_path: Path, behind: Any
) -> None:
    tuner = fine_tuning(base, output, log_every=10, behind=behind)
    compiled: Any = tuner.compile(program(), trainset=EXAMPLES)
    if behind == "fusor":
        compiled.lms = [load_models().lm("embedded/sft")]
    save_program(compiled, tmp_path / "x.json")
    saved = load_program(tmp_path / "x.json", load_models())
    assert isinstance(saved.adapter, PlainAdapter)
    with dspy.context(adapter=saved.adapter):
        asked = {"worksheet": "(a) 12 + 3"}
        assert saved.program(**asked).answers == compiled(**asked).answers


FULL = """
import resource, signal, sys
from pathlib import Path
import dspy
from finetuning_problem import EXAMPLES, fine_tuning, program
from dspy_fusion.programs import PlainAdapter
from dspy_fusion.programs.errors import FusionError

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a write beyond the limit is an error, as on a full disk
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), resource.RLIM_INFINITY))
dspy.configure(adapter=PlainAdapter())
try:
    fine_tuning(Path(sys.argv[1]), Path(sys.argv[2]), checkpoint_every=2).compile(program(), trainset=EXAMPLES)
except FusionError as error:
    print(type(error).__name__, error)
"""


@pytest.mark.parametrize("size", [1_000_000, 5_000_000])
def test_weights_that_cannot_be_written_are_an_error_and_the_same_call_goes_on(
    base: Path, output: Path, tmp_path: Path, size: int
) -> None:
    """The smaller limit stops the weights (3.7 MB), the larger one a checkpoint's moments (7.4 MB)."""
    folder = tmp_path / "out"
    command = [sys.executable, "-c", FULL, str(base), str(folder), str(size)]
    here = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    said = subprocess.run(command, env=here, capture_output=True, text=True, check=False)
    assert said.stdout, (said.returncode, said.stderr[-3000:])
    (line,) = said.stdout.strip().splitlines()
    assert line.startswith(f"RecordError cannot write to {folder}"), said.stderr[-2000:]
    assert "the same call" in line
    report = fine_tuning(base, folder, checkpoint_every=2).compile(program(), trainset=EXAMPLES).finetuning_report
    assert report.steps == 6
    weights = [load_file(one / "model" / "model.safetensors") for one in (folder, output)]
    assert all((weights[0][name] == weights[1][name]).all() for name in weights[0])


def test_a_model_that_memory_or_disk_cannot_hold_is_refused_before_anything_is_asked(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = tmp_path / "large"
    shutil.copytree(base, large)
    config = json.loads((large / "config.json").read_text())
    config |= {"num_hidden_layers": 4000, "hidden_size": 16384, "intermediate_size": 65536}
    (large / "config.json").write_text(json.dumps(config))
    lm = ScriptedLM(lambda request: "a")
    drawn = SampledProposals(lm, draws=1, keep=1)
    tuner = fine_tuning(large, tmp_path / "out", proposals=drawn, device="cpu")
    with pytest.raises(ConfigurationError, match=r"needs at least [\d.]+ GB of memory, but .* train adapters"):
        tuner.compile(program(), trainset=EXAMPLES)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
    with pytest.raises(ConfigurationError, match=r"writes at least [\d.]+ MB to .*, but [\d.]+ MB are free; make room"):
        fine_tuning(base, tmp_path / "out", proposals=drawn).compile(program(), trainset=EXAMPLES)
    assert lm.requests == []


def test_prompts_that_are_too_long_are_told_before_anything_is_drawn(base: Path, tmp_path: Path) -> None:
    lm = ScriptedLM(lambda request: "(a) 1")
    long = dspy.Example(worksheet="(a) 1 + 1\n" * 300, answers="(a) 1 + 1 = 2").with_inputs("worksheet")
    tuner = fine_tuning(base, tmp_path, proposals=SampledProposals(lm, draws=1, keep=1))
    with pytest.raises(ConfigurationError, match=r"which takes 1024 tokens: that of example 12 has \d+, \d+ too many"):
        tuner.compile(program(), trainset=[*EXAMPLES, long])
    assert lm.requests == []


def test_proposals_that_are_too_long_are_told_before_answers_are_paid_for(base: Path, tmp_path: Path) -> None:
    lm, stronger = ScriptedLM(lambda request: "(a) 1 + 1 = 2\n" * 200), ScriptedLM(lambda request: "(a) 1")
    drawn = SampledProposals(lm, draws=2, keep=2)
    options: dict[str, Any] = {"proposals": drawn, "references": FusorReferences(stronger), "num_threads": 1}
    with pytest.raises(ConfigurationError, match=r"with its 2 proposals, \d+ too many; too_long='drop_proposals'"):
        fine_tuning(base, tmp_path, **options).compile(program(), trainset=EXAMPLES)
    assert len(lm.requests) == 2  # the first example's
    assert stronger.requests == []
