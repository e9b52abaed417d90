"""Folders of trainings that somebody linked, moved, cut short or edited by hand."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import dspy
import pytest
from conftest import ScriptedLM
from finetuning_problem import EXAMPLES, fine_tuning, program
from safetensors.numpy import load_file

from dspy_fusion.optimizers.finetuning import Preferences, SampledProposals
from dspy_fusion.programs import ConfigurationError, PlainAdapter, RecordError
from dspy_fusion.serving.catalogue.models import load_models
from dspy_fusion.serving.embedded import huggingface
from dspy_fusion.serving.embedded.huggingface import huggingface_lm
from dspy_fusion.serving.endpoint.saved_program import load_program, save_program

pytest.importorskip("trl", reason="trl is not installed: pip install 'dspy-fusion[finetune]'")
pytestmark = pytest.mark.usefixtures("plain_adapter")


@pytest.fixture(scope="module")
def output(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    with dspy.context(adapter=PlainAdapter()):
        fine_tuning(base, folder).compile(program(), trainset=EXAMPLES)
    return folder


@pytest.fixture
def copied(output: Path, tmp_path: Path) -> Path:
    """A finished training of one's own to spoil."""
    return shutil.copytree(output, tmp_path / "out")


def compiled(base: Path, folder: Path, **changes: Any) -> Any:
    return fine_tuning(base, folder, **changes).compile(program(), trainset=EXAMPLES)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("part", ["model", "checkpoints", "checkpoints/checkpoint-6"])
def test_the_results_of_another_training_are_no_folder_to_train_in(base: Path, copied: Path, part: str) -> None:
    before = contents(copied)
    with pytest.raises(ConfigurationError, match=r"is part of the training in .* an output folder of its own"):
        compiled(base, copied / part)
    assert contents(copied) == before


@pytest.mark.parametrize("target", ["foreign", "base", "model"])
def test_a_link_is_what_it_leads_to(base: Path, copied: Path, tmp_path: Path, target: str) -> None:
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "thesis.tex").write_text("mine")
    leads_to = {"foreign": foreign, "base": base, "model": copied / "model"}[target]
    (tmp_path / "link").symlink_to(leads_to)
    before = contents(leads_to)
    with pytest.raises(ConfigurationError, match=r"thesis\.tex|lies where the trained model|is part of the training"):
        compiled(base, tmp_path / "link")
    assert contents(leads_to) == before


def test_a_folder_below_a_file_is_refused(base: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ConfigurationError, match=r"notes\.txt is a file; choose another output folder"):
        compiled(base, tmp_path / "notes.txt" / "out")


def test_a_mark_edited_by_hand_is_no_mark(base: Path, copied: Path) -> None:
    for said in ('{"made_by": "dspy-fusion", "files": 5}', "[]", "{"):
        (copied / "model" / ".dspy-fusion.json").write_text(said)
        (copied / "report.json").unlink(missing_ok=True)
        with pytest.raises(ConfigurationError, match=r"holds model/.* nothing was touched"):
            compiled(base, copied)
    assert (copied / "model" / "model.safetensors").exists()


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("rows.jsonl", '{"prompt": "a", "completion": "b"}\n', r"rows.jsonl is another by now; remove .*rows.json"),
        ("rows.json", "{", "it cannot be read: JSONDecodeError"),
        ("rows.json", "[1]", "it cannot be read: TypeError"),
        ("rows.json", '{"rows": "many"}', "is another by now"),
        ("about.json", "{", "about.json is damaged"),
        ("references.jsonl", "x", "is no file of a fine-tuning"),
    ],
)
def test_what_was_edited_by_hand_is_named(base: Path, copied: Path, name: str, text: str, message: str) -> None:
    for made in ("report.json", *(["rows.json"] if name == "references.jsonl" else [])):
        (copied / made).unlink()
    (copied / name).write_text(text)
    with pytest.raises(RecordError, match=message):
        compiled(base, copied)
    if name.startswith("rows"):
        (copied / "rows.json").unlink()
        assert compiled(base, copied).finetuning_report.rows == len(EXAMPLES)


def test_a_damaged_report_is_named(base: Path, copied: Path) -> None:
    (copied / "report.json").write_text('{"objective": "aft"}')
    with pytest.raises(RecordError, match="cannot read the report"):
        compiled(base, copied)


@pytest.mark.parametrize("name", ["optimizer.pt", "model.safetensors", "trainer_state.json"])
def test_a_checkpoint_cut_short_is_passed_over(base: Path, copied: Path, output: Path, name: str) -> None:
    path = copied / "checkpoints" / "checkpoint-6" / name
    path.write_bytes(path.read_bytes()[:100])
    (copied / "report.json").unlink()
    shutil.rmtree(copied / "model")
    (copied / "curve.jsonl").write_text((copied / "curve.jsonl").read_text() + '{"step": 9\n"none"\n{"loss": "x"}\n')
    assert compiled(base, copied).finetuning_report.steps == 6
    again, first = (load_file(one / "model" / "model.safetensors") for one in (copied, output))
    assert all((again[name] == first[name]).all() for name in first)
    assert [json.loads(line)["step"] for line in (copied / "curve.jsonl").read_text().splitlines()] == [*range(1, 7)]


def test_a_moved_folder_is_the_same_training_and_serves(base: Path, tmp_path: Path) -> None:
    first: Any = compiled(base, tmp_path / "first")
    first.lms = [load_models().lm("embedded/sft")]
    save_program(first, tmp_path / "first" / "program.json")
    answer = first(worksheet="(a) 12 + 3").answers
    (tmp_path / "first").rename(tmp_path / "moved")
    saved = load_program(tmp_path / "moved" / "program.json", load_models())
    with dspy.context(adapter=saved.adapter):
        assert saved.program(worksheet="(a) 12 + 3").answers == answer
    again = compiled(base, tmp_path / "moved")
    assert again.finetuning_report.model == str(tmp_path / "moved" / "model")
    weights = tmp_path / "moved" / "model" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + b"\0\0\1\0")
    with pytest.raises(ConfigurationError, match="but the program was saved with those of"):
        load_program(tmp_path / "moved" / "program.json", load_models())


def test_an_embedded_model_that_cannot_be_written_leaves_nothing_in_the_way(
    copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(copied / "embedded")

    def full(weights: Any, path: Path, metadata: Any) -> None:
        path.write_text("half")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(huggingface, "save_file", full)
        with pytest.raises(RecordError, match="No space left on device; make room"):
            huggingface_lm(copied / "model")
    assert huggingface_lm(copied / "model").model.startswith("embedded/")


LIMIT = 3.0


def helped(text: str) -> float:
    return min(1.0, len(text) / LIMIT)


def by_helper(args: dict[str, Any], prediction: Any) -> float:
    return helped(prediction.answers)


class Weighted:
    """A scorer with options in a table, which counts its calls."""

    def __init__(self, **weights: float) -> None:
        self.weights, self.calls = weights, 0

    def __call__(self, args: dict[str, Any], prediction: Any) -> float:
        self.calls += 1
        return self.weights.get("answers", 0.0)


def test_a_scorer_is_another_when_anything_it_uses_is(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def collect(scorer: Any, folder: str = "out") -> None:
        lm = ScriptedLM(lambda request: "(a) 1 + 1 = 2")
        proposals = SampledProposals(lm, draws=2, keep=1, scorer=scorer)
        compiled(base, tmp_path / folder, proposals=proposals)

    collect(by_helper)
    collect(by_helper)
    with monkeypatch.context() as patched:
        patched.setattr(f"{__name__}.LIMIT", 4.0)
        with pytest.raises(ConfigurationError, match=r"made with another proposals\.scorer\.content"):
            collect(by_helper)
    monkeypatch.setattr(f"{__name__}.helped", lambda text: 0.5)
    with pytest.raises(ConfigurationError, match=r"made with another proposals\.scorer\.content"):
        collect(by_helper)
    weighted = Weighted(answers=1.0)
    collect(weighted, "other")
    assert weighted.calls
    collect(weighted, "other")
    with pytest.raises(ConfigurationError, match=r"made with another proposals\.scorer\.content"):
        collect(Weighted(answers=0.5), "other")
    ones, others = (Preferences(Weighted(answers=value)).about() for value in (1.0, 0.5))
    assert ones != others


class Shouting(dspy.Module):
    """A user's own task program, whose code says what it answers."""

    def __init__(self) -> None:
        super().__init__()
        self.solve = dspy.Predict("worksheet -> answers")

    def forward(self, **inputs: Any) -> Any:
        return self.solve(**inputs)


def test_other_code_of_a_task_program_is_another_program(monkeypatch: pytest.MonkeyPatch) -> None:
    from dspy_fusion.optimizers.finetuning.files.identities import program_digest

    before = program_digest(Shouting())
    assert program_digest(Shouting()) == before
    monkeypatch.setattr(Shouting, "forward", lambda self, **inputs: self.solve(**{**inputs, "worksheet": "other"}))
    assert program_digest(Shouting()) != before
