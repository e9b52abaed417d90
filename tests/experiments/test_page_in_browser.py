"""The page as a browser shows it: no complaint, no request, tabs and filters by keyboard, on wide and narrow screens,
light and dark.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from chromium import Page, needs_chromium

from dspy_fusion.experiments.evidence import gather
from dspy_fusion.experiments.evidence.summary import summarize
from dspy_fusion.experiments.evidence.verdict import judge
from dspy_fusion.experiments.plans.comparison_config import CompareConfig
from dspy_fusion.experiments.reports.page import render_page
from dspy_fusion.experiments.reports.views import write_views
from dspy_fusion.experiments.runs.run_folder import Run, RunFolder

pytestmark = needs_chromium
SHOWN = "[...document.querySelectorAll('main > section')].filter(s => s.offsetParent !== null).map(s => s.id).join()"
SHEETS = (
    "[...document.querySelectorAll('.sheet')].filter(s => s.offsetParent !== null).map(s => s.className).join(' | ')"
)
ALARM = "<script>document.title = 'taken'</script><img src=x onerror=\"document.title = 'taken'\"> \u202e"


@pytest.fixture
def run(config: CompareConfig, record: Any, tmp_path: Path) -> Run:
    scores = {"single": 0.4, "vote": 0.5, "vote per part": 0.5, "oracle": 0.5, "fusion": 0.2}
    records = [
        record(
            name,
            10 * group + i,
            min(1.0, score + i / 10),
            group=f"g{group}",
            answer=f"{ALARM} {'long text ' * 100}",
            parts=(),
        )
        for name, score in scores.items()
        for group in range(2)
        for i in range(6)
    ]
    return Run(RunFolder(tmp_path), config, tuple(records), {"started": "now", "environment": {}})


@pytest.fixture
def page(run: Run) -> Path:
    """The page without figures, which take their time to draw."""
    summary = summarize(run.config, run.records)
    run.folder.page.write_text(
        render_page(run, summary, judge(summary), gather(summary, run.records), ()), encoding="utf-8"
    )
    return run.folder.page


@pytest.mark.parametrize(("width", "dark"), [(1400, False), (420, True)])
def test_it_opens_without_a_complaint_and_fits(run: Run, tmp_path: Path, width: int, dark: bool) -> None:
    with Page(write_views(run).page, width=width, dark=dark) as shown:
        shown.screenshot(tmp_path / "page.png")
        assert shown.problems == []
        assert shown.evaluate("document.documentElement.scrollWidth") <= width
        assert shown.evaluate("document.title") != "taken"
        bright = sum(
            map(int, shown.evaluate("getComputedStyle(document.body).backgroundColor").strip("rgb()").split(","))
        )
        assert (bright < 200) == dark
    assert (tmp_path / "page.png").stat().st_size > 10_000


def test_tabs_are_links_that_keys_can_follow(page: Path) -> None:
    with Page(page) as shown:
        assert shown.evaluate(SHOWN) == "overview"
        for tab in ("overview", "groups", "examples", "evidence", "setup"):
            shown.press("Tab")
            shown.press("Enter")
            assert shown.evaluate(SHOWN) == tab
            shown.evaluate(f"document.querySelector('a[href=\"#{tab}\"]').focus()")
        assert shown.problems == []


def test_a_link_to_an_example_opens_its_tab(page: Path) -> None:
    with Page(page, fragment="#example-2") as shown:
        assert shown.evaluate(SHOWN) == "examples"


def test_examples_are_filtered_by_strategy_and_outcome(page: Path) -> None:
    with Page(page, fragment="#examples") as shown:
        assert set(shown.evaluate(SHEETS).split(" | ")) == {
            f"sheet strategy-0 {outcome} long" for outcome in ("won", "tied", "lost")
        }
        shown.evaluate("document.getElementById('lost').click()")
        assert set(shown.evaluate(SHEETS).split(" | ")) == {"sheet strategy-0 lost long"}
        shown.evaluate("document.getElementById('any').focus(); document.getElementById('any').click()")
        shown.press("ArrowRight")
        assert set(shown.evaluate(SHEETS).split(" | ")) == {"sheet strategy-0 won long"}


def test_long_texts_are_closed_and_open_whole(page: Path) -> None:
    with Page(page, fragment="#examples") as shown:
        first = "document.querySelector('.fused details')"
        assert shown.evaluate(f"{first}.open") is False
        shown.evaluate(f"{first}.querySelector('summary').click()")
        assert "long text long text" in shown.evaluate(f"{first}.querySelector('pre').innerText")
        assert shown.evaluate(f"{first}.querySelector('.preview').offsetParent === null") is True


def test_every_tab_is_shown_on_paper(page: Path) -> None:
    with Page(page) as shown:
        shown.call("Emulation.setEmulatedMedia", media="print")
        assert shown.evaluate(SHOWN) == "overview,groups,examples,evidence,setup"
