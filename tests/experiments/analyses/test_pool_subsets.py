"""Subsets of a pool: which are fused, that nothing is drawn twice, and what is computed of them."""

from __future__ import annotations

from math import comb
from pathlib import Path
from typing import Any

import dspy
import numpy as np
import pytest

from dspy_fusion.experiments.__main__ import main
from dspy_fusion.experiments.analyses.pool_subsets import SubsetRecord
from dspy_fusion.experiments.analyses.running import Asked, run_subsets
from dspy_fusion.experiments.analyses.subset_findings import rank_cells, regression, subset_findings
from dspy_fusion.experiments.analyses.subset_fusions import SubsetFusions
from dspy_fusion.programs.errors import ConfigurationError
from dspy_fusion.programs.tasks.instructions import AGGREGATE
from dspy_fusion.serving.catalogue.models import ModelCatalogue


def fusions(**options: Any) -> SubsetFusions:
    return SubsetFusions(dspy.Predict("worksheet -> answers"), instructions=AGGREGATE, **options)


def test_all_subsets_are_fused_where_no_number_is_given() -> None:
    assert len(fusions().subsets({"worksheet": "a"})) == comb(10, 5) == 252


def test_a_sample_is_the_same_each_time_and_another_for_each_question() -> None:
    first, again, other = (fusions(limit=20).subsets({"worksheet": text}) for text in "aab")
    assert first == again != other
    assert len(set(first)) == 20


@pytest.mark.parametrize(
    ("options", "message"), [({"size": 10}, "one less than all 10"), ({"limit": 1}, "at least 2 subsets")]
)
def test_numbers_out_of_range_are_refused(options: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        fusions(**options)


def test_what_was_found_is_not_asked_for_again(tmp_path: Path) -> None:
    numbers: dict[str, Any] = {"count": 4, "size": 2, "limit": 3, "temperature": 1.0, "seed": 0}
    told: list[int] = []
    place = (["embedded/plus"], ModelCatalogue.builtin(), tmp_path)
    options: dict[str, Any] = {"fusor": "embedded/aft", "numbers": numbers, "on_example": told.append}
    first = run_subsets(Asked("worksheets", 2, "test"), *place, **options)
    more = run_subsets(Asked("worksheets", 3, "test"), *place, **options)
    assert more[:6] == first
    assert told == [1, 2, 3]
    assert all(0 <= r.quality <= r.oracle <= 1 <= r.diversity <= 2 for r in more)
    with pytest.raises(ConfigurationError, match="another seed"):
        run_subsets(Asked("worksheets", 2, "test"), *place, **{**options, "numbers": {**numbers, "seed": 1}})


def drawn(quality: float, diversity: float) -> list[SubsetRecord]:
    rng = np.random.default_rng(0)
    found = []
    for question in range(20):
        for q, d, noise in rng.normal(size=(100, 3)):
            found.append(
                SubsetRecord(f"q{question}", (0, 1), q + question, d, quality * q + diversity * d + noise, 1.0)
            )
    return found


def test_quality_that_dominates_is_seen() -> None:
    records = drawn(quality=1.0, diversity=0.3)
    found = regression(records, within=True)
    assert found.coefficients["mean quality"].low > found.coefficients["diversity (Vendi)"].high > 0
    cells = rank_cells(records)
    assert cells.shape == (10, 10)
    assert np.nanmean(cells[:, 8:]) > np.nanmean(cells[8:, :]) > np.nanmean(cells[:, :2])


def test_without_a_difference_there_is_a_note_instead_of_a_regression() -> None:
    records = [
        SubsetRecord(f"q{i}", (0, 1), quality, 1.0 + quality, 1.0, 1.0) for i in range(2) for quality in (0.2, 0.4)
    ]
    found = subset_findings(records)
    assert found.notes[0].startswith("No regression within a question: the outcome does not vary")
    assert [table.title for table in found.tables] == ["What the subsets score"]


def test_the_command_shows_the_levels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sizes = ["--proposals", "4", "--size", "2", "--subsets", "5", "--examples", "4", "--temperature", "1.4"]
    models = ["--models", "embedded/minus", "--fusor", "embedded/aft"]
    assert main(["analyse", "subsets", "--task", "worksheets", *models, *sizes, "--out", str(tmp_path)]) == 0
    assert "fused minus the best" in capsys.readouterr().out
    assert (tmp_path / "subsets.png").exists()
