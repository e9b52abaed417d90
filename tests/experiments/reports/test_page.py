from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dspy_fusion.experiments.plans.comparison_config import CompareConfig
from dspy_fusion.experiments.reports.tracked_run import tracked, tracked_strategies
from dspy_fusion.experiments.reports.views import Views, write_views
from dspy_fusion.experiments.runs.comparison import prepare
from dspy_fusion.experiments.runs.run_folder import Run, RunFolder, read_run
from dspy_fusion.programs import RecordError


@pytest.fixture
def views(config: CompareConfig, lab: Any, tmp_path: Path) -> Views:
    comparison = prepare(config, lab, tmp_path)
    comparison.run(lambda record: None)
    return write_views(read_run(tmp_path))


def test_page_asks_no_network_for_anything_and_runs_no_script(views: Views) -> None:
    page = views.page.read_text()
    assert "http:" not in re.sub(r"base64,[A-Za-z0-9+/=]+", "", page)
    assert not re.findall(r"<script|@import|url\(|https:|onclick", page)


def test_page_holds_verdict_tables_figures_and_examples(views: Views) -> None:
    page = views.page.read_text()
    assert page.count("data:image/svg+xml;base64,") == len(views.plots) == 5
    for text in (
        views.verdict.clauses[-1][1:40],
        "oracle (uses the answers)",
        "candidate 0: plus",
        'class="right"',
        views.summary.config.digest,
    ):
        assert text in page


def test_every_link_leads_somewhere(views: Views) -> None:
    page = views.page.read_text()
    targets = re.findall(r'href="#([^"]+)"', page)
    assert {"overview", "examples", "evidence", "setup", "example-1"} <= set(targets)
    assert set(targets) <= set(re.findall(r'id="([^"]+)"', page))


HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)> \u202egnp.exe \x1b[2J {{ 7 * 7 }} $\\frac{x} </pre>"


def test_hostile_text_is_shown_and_not_obeyed(config: CompareConfig, lab: Any, tmp_path: Path) -> None:
    lab.add("fusor", lambda request: HOSTILE)
    named = replace(config.strategies[-1], name="<b>{{ 7 * 7 }}</b> $\\frac{x}")
    odd = replace(config, title=HOSTILE, strategies=(*config.strategies[:-1], named))
    prepare(odd, lab, tmp_path).run(lambda record: None)
    page = write_views(read_run(tmp_path)).page.read_text()
    assert not re.findall(r"<script|<img src=x|[\x00-\x08\x1b\u202e]", page)
    assert "&lt;script&gt;" in page
    assert "[U+202E]gnp.exe [U+001B][2J {{ 7 * 7 }}" in page


def grouped(config: CompareConfig, record: Any, path: Path, *, groups: int = 5, each: int = 4) -> Run:
    """A run of hand-made records in several groups."""
    records = tuple(
        record(
            strategy.name,
            100 * group + i,
            min(1.0, (i + place) / 20),
            group=f"g{group}",
            answer=f"word {i} " * 300,
            parts=(),
        )
        for place, strategy in enumerate(config.strategies)
        for group in range(groups)
        for i in range(each)
    )
    folder = RunFolder(path)
    return Run(folder, config, records, {"started": "now", "environment": {"python": "3"}})


def test_groups_have_a_tab_and_a_figure(config: CompareConfig, record: Any, tmp_path: Path) -> None:
    views = write_views(grouped(config, record, tmp_path))
    assert {"gain_by_group", "origin_of_words"} <= {plot.png.stem for plot in views.plots}
    page = views.page.read_text()
    assert all(text in page for text in ('href="#groups"', "Score % by group", "What fusion gains on choosing"))
    assert "Score % by group" in (tmp_path / "table.md").read_text()


def test_a_large_run_is_a_small_page_that_says_what_it_leaves_out(
    config: CompareConfig, record: Any, tmp_path: Path
) -> None:
    page = write_views(grouped(config, record, tmp_path, each=100)).page.read_text()
    assert len(page) < 3_000_000
    assert re.search(r"\d+ of 1500 answers", page)
    assert "All answers are in records.jsonl" in page


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
    run = read_run(tmp_path)
    told, below = tracked(run, views), {told.run: told for told in tracked_strategies(run, views)}
    assert {"best_score", "oracle", "beta"} <= told.metrics.keys()
    assert not any("/" in name for name in told.metrics)
    fusion = below["fusion"]
    wanted = {"score", "score_low", "score_high", "tokens_in", "tokens_out", "calls", "depth", "seconds", "cost_usd"}
    assert wanted <= fusion.metrics.keys()
    assert {"program": "fusion", "pool": "both", "fusor": "fusor"}.items() <= fusion.parameters.items()
    assert told.status == fusion.status
