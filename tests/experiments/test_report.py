from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from dspy_fusion.experiments.compare import prepare
from dspy_fusion.experiments.config import CompareConfig
from dspy_fusion.experiments.run_folder import read_run
from dspy_fusion.experiments.views import Views, tracked, write_views
from dspy_fusion.programs import RecordError


@pytest.fixture
def views(config: CompareConfig, lab: Any, tmp_path: Path) -> Views:
    comparison = prepare(config, lab, tmp_path)
    comparison.run(lambda record: None)
    return write_views(read_run(tmp_path))


def test_page_asks_no_network_for_anything(views: Views) -> None:
    page = views.page.read_text()
    assert "http" not in re.sub(r"base64,[A-Za-z0-9+/=]+", "", page)
    assert not re.findall(r"<script|@import|url\(", page)


def test_page_holds_verdict_tables_figures_and_examples(views: Views) -> None:
    page = views.page.read_text()
    assert page.count("data:image/svg+xml;base64,") == len(views.plots) == 3
    for text in (
        views.verdict.reason[1:40],
        "oracle (uses the answers)",
        "candidate 0: plus",
        'class="right"',
        views.summary.config.digest,
    ):
        assert text in page


def test_answers_cannot_write_into_the_page(config: CompareConfig, lab: Any, tmp_path: Path) -> None:
    lab.add("fusor", lambda request: "<script>alert(1)</script>")
    prepare(config, lab, tmp_path).run(lambda record: None)
    page = write_views(read_run(tmp_path)).page.read_text()
    assert "&lt;script&gt;" in page
    assert "<script" not in page


def test_every_figure_has_its_data_beside_it(views: Views) -> None:
    for plot in views.plots:
        assert len(plot.data.read_text().splitlines()) > 1
        assert plot.png.stat().st_size > 5_000


def test_views_can_be_made_again_and_are_the_same(views: Views, tmp_path: Path) -> None:
    before = {path.name: path.read_bytes() for path in (views.page, *views.tables)}
    write_views(read_run(tmp_path))
    assert {path.name: path.read_bytes() for path in (views.page, *views.tables)} == before


def test_folder_without_a_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"holds no run: run\.json"):
        read_run(tmp_path)


def test_mlflow_is_told_scores_with_intervals_and_costs(views: Views, tmp_path: Path) -> None:
    told = tracked(read_run(tmp_path), views)
    assert {"score/fusion", "score_low/fusion", "tokens_in/fusion", "calls/fusion", "oracle/pool_both"} <= told.metrics.keys()
    assert told.parameters["strategy.fusion"] == "program=fusion, pool=both, fusor=fusor"
    assert told.finished
