"""Perplexity of training targets: both kinds of checkpoint agree, and the numbers are what their definition says."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from dspy_fusion.experiments.__main__ import main
from dspy_fusion.experiments.analyses.likelihoods import HuggingFaceLikelihood, likelihood_of
from dspy_fusion.experiments.analyses.perplexity import TargetRecord, measure_targets
from dspy_fusion.experiments.analyses.perplexity_findings import perplexities, perplexity_ratio
from dspy_fusion.optimizers.finetuning.files.training_row import TrainingRow
from dspy_fusion.programs.errors import ConfigurationError
from dspy_fusion.serving.catalogue.models import ModelCatalogue
from dspy_fusion.serving.embedded.huggingface import to_huggingface

ROW = TrainingRow(({"role": "system", "content": "Solve."}, {"role": "user", "content": "(a) 1 + 1"}), "(a) 1 + 1 = 2")


def embedded(name: str = "sft"):
    return likelihood_of(f"embedded/{name}", ModelCatalogue.builtin())


def test_a_right_answer_is_likelier_than_a_wrong_one() -> None:
    wrong = TrainingRow(ROW.prompt, "(a) 1 + 1 = 7")
    assert embedded().of(ROW).total > embedded().of(wrong).total


def test_torch_and_the_embedded_engine_agree(tmp_path: Path) -> None:
    pytest.importorskip("transformers", reason="transformers is not installed: pip install 'dspy-fusion[finetune]'")
    there, here = HuggingFaceLikelihood(str(to_huggingface("sft", tmp_path))).of(ROW), embedded().of(ROW)
    assert there.tokens == here.tokens
    assert there.total == pytest.approx(here.total, abs=1e-3)


def test_a_model_that_is_not_there_is_named(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="torch is not installed: pip install 'dspy-fusion[finetune]'")
    with pytest.raises(ConfigurationError, match="cannot load the checkpoint"):
        likelihood_of(str(tmp_path / "absent"), ModelCatalogue.builtin())
    with pytest.raises(ConfigurationError, match="prompt and completion have"):
        embedded().of(TrainingRow(ROW.prompt, "(a) 1 + 1 = 2" * 200))


def test_likelihoods_are_computed_once(tmp_path: Path) -> None:
    rows, told = {"sft": {"a": ROW}}, list[int]()
    first = measure_targets(rows, embedded(), tmp_path / "kept.jsonl", on_row=told.append)
    assert measure_targets(rows, embedded(), tmp_path / "kept.jsonl", on_row=told.append) == first
    assert told == [1]
    with pytest.raises(ConfigurationError, match="another base"):
        measure_targets(rows, embedded("aft"), tmp_path / "kept.jsonl", on_row=told.append)


def test_perplexity_is_per_token_over_the_whole_set() -> None:
    made = [("sft", "a", -2.0, 1), ("sft", "b", -4.0, 5), ("aft", "a", -1.0, 1), ("aft", "b", -2.0, 5)]
    records = [TargetRecord(*values) for values in made]
    assert perplexities(records)["sft"].mean == pytest.approx(math.exp(6 / 6))
    assert perplexity_ratio(records, "aft", "sft").mean == pytest.approx(math.exp(3 / 6 - 6 / 6))


def command(tmp_path: Path, *arguments: str) -> int:
    return main(["analyse", "perplexity", "--base", "embedded/sft", "--out", str(tmp_path / "out"), *arguments])


def test_the_command_makes_targets_as_training_would(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    pool = ["--teachers", "embedded/plus,embedded/minus", "--references", "embedded/aft", "--draws", "2", "--keep", "2"]
    assert command(tmp_path, "--task", "worksheets", "--examples", "3", *pool) == 0
    shown = capsys.readouterr().out
    kinds = ("SFT", "AFT", "AFT, proposals removed", "pseudo-aggregation")
    wanted = {f"{kind}, {policy}" for kind in kinds for policy in ("on-policy", "off-policy")}
    assert {name for name in wanted if name not in shown} == set(), shown


def test_the_command_reads_training_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines: list[dict[str, Any]] = [ROW.as_messages(), ROW.as_messages()]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert command(tmp_path, "--rows", f"mine={tmp_path / 'rows.jsonl'}") == 0
    assert "mine" in capsys.readouterr().out
