"""What a comparison says of confidence, refusals and saved calls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dspy_fusion.experiments.evidence.sureness import Bin, Sureness, sureness, sureness_table
from dspy_fusion.experiments.plans.comparison_config import CompareConfig, StrategyConfig
from dspy_fusion.experiments.records.record import Record
from dspy_fusion.experiments.reports.views import Views, write_views
from dspy_fusion.experiments.runs.comparison import prepare
from dspy_fusion.experiments.runs.run_folder import read_run
from dspy_fusion.programs.errors import ConfigurationError


def made(record: Callable[..., Record], *pairs: tuple[float | None, float], **rest: Any) -> Sureness | None:
    records = [record("s", place, score, confidence=sure, **rest) for place, (sure, score) in enumerate(pairs)]
    return sureness("s", "vote", records)


def test_numbers_of_confidence(record: Callable[..., Record]) -> None:
    item = made(record, (0.95, 1.0), (0.95, 0.0), (0.5, 1.0), (0.2, 0.0), saved=2)
    assert item is not None
    assert [part.answers for part in item.bins] == [1, 1, 2]
    assert item.bins[-1] == Bin(2, 0.95, 0.5)
    assert item.error == pytest.approx((2 * 0.45 + 0.5 + 0.2) / 4)
    assert item.ranking == pytest.approx(2.5 / 4)
    assert item.at(1.0) == 0.5
    assert item.at(0.25) == 0.5  # two are equally sure, so one of them counts with their mean
    assert item.curve == ((0.5, 0.5), (0.75, pytest.approx(2 / 3)), (1.0, 0.5))
    (row,) = sureness_table([item]).rows
    assert row[-1] == "2.00 of 5.00"


def test_nothing_is_said_where_nothing_is_known(record: Callable[..., Record]) -> None:
    assert made(record, (None, 1.0)) is None
    sure = made(record, (1.0, 1.0), (1.0, 1.0))
    assert sure is not None
    assert sure.ranking is None
    assert sureness_table([]).rows == ()


def test_old_records_have_no_confidence(record: Callable[..., Record]) -> None:
    line = record("s", 0, 1.0).to_json()
    for name in ("confidence", "saved", "abstained"):
        assert f'"{name}"' in line
    old = line.replace(', "confidence": null, "saved": 0, "abstained": null', "")
    assert old != line
    assert Record.from_json(old).confidence is None


SPARING = (
    StrategyConfig("vote", "vote", "both"),
    StrategyConfig("adaptive vote", "vote", "both", n=6, options={"stopping": {"rule": "agreement", "threshold": 0.9}}),
    StrategyConfig("gated fusion", "fusion", "both", fusor="fusor", options={"gate": 0.5}),
    StrategyConfig("fusion by field", "fusion", "both", fusor="fusor", options={"by_field": True}),
    StrategyConfig("trajectories", "fusion", "both", fusor="fusor", options={"trajectories": 500, "look_ups": 1}),
    StrategyConfig("refusing", "fusion", "both", fusor="fusor", options={"abstain_below": 0.99, "on_abstain": "mark"}),
    StrategyConfig("strict", "vote", "both", options={"abstain_below": 1.0}),
)


@pytest.fixture
def views(config: CompareConfig, lab: Any, tmp_path: Path) -> Views:
    prepare(replace(config, strategies=SPARING, examples=8), lab, tmp_path).run(lambda record: None)
    return write_views(read_run(tmp_path))


def test_what_is_spared_and_refused_stands_in_the_report(views: Views, tmp_path: Path) -> None:
    by_name = {item.strategy: item for item in views.evidence.sureness}
    assert by_name["gated fusion"].saved > 0
    assert by_name["fusion by field"].saved >= 0
    assert 0 < by_name["refusing"].abstained <= 1
    records = read_run(tmp_path).records
    assert all("Abstained" in (r.error or "Abstained") for r in records if r.strategy == "strict")
    assert any(r.error for r in records if r.strategy == "strict")
    page = views.page.read_text()
    for text in (
        "How sure the answers are",
        "What answering only when sure gains",
        "Confidence against what came true",
    ):
        assert text in page
    assert "How sure the answers are" in (tmp_path / "table.md").read_text()
    assert {"coverage", "reliability"} <= {plot.png.stem for plot in views.plots}


def test_an_option_that_cannot_be_names_its_strategy(config: CompareConfig, lab: Any, tmp_path: Path) -> None:
    wrong = StrategyConfig("wrong", "fusion", "both", fusor="fusor", options={"gate": {"colour": 0.5}})
    with pytest.raises(ConfigurationError, match="strategy 'wrong': gate names 'colour'"):
        prepare(replace(config, strategies=(wrong,)), lab, tmp_path).run(lambda record: None)
