from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from dspy_fusion.experiments.pools.overview import Overview, overview_of
from dspy_fusion.experiments.pools.overview_files import to_json, write_overview
from dspy_fusion.experiments.pools.overview_tables import overview_tables
from dspy_fusion.experiments.pools.recorded_pool import RecordedPool
from dspy_fusion.experiments.recordings.recording import RecordedCandidate, RecordedQuestion
from dspy_fusion.programs.errors import ConfigurationError

Pool = Callable[..., RecordedPool]


@pytest.fixture
def overview(pool: Pool) -> Overview:
    return overview_of("letters", pool("ABc", "aBc", "ab-", "ABC").questions, subsets=6, resamples=50)


def test_the_best_source_is_what_ways_are_held_against(overview: Overview) -> None:
    measured = overview.measured
    assert measured is not None
    assert measured.best_source.column == "s1"
    assert measured.gains["oracle"].mean == 0
    assert measured.gains["single"].mean == pytest.approx((2 / 3 + 1 / 3 + 0 + 1) / 4 - 0.75)
    assert (measured.beta.share, measured.beta.questions) == (0.25, 4)


def test_what_is_missing_or_not_known_is_said(pool: Pool) -> None:
    unknown = overview_of("letters", pool("Ab-", "AbC", quality=[[None] * 3] * 2).questions)
    assert unknown.measured is None
    assert unknown.notes == (
        "1 of 6 answers are missing; they count as failed: 0, no vote",
        "it was not recorded which answers are right, so nothing can be said about scores",
    )
    some = overview_of(
        "letters",
        pool("Ab", "AB", "ab", quality=[[1.0, 0.0], [1.0, 1.0], [None, 0.0]]).questions,
        subsets=2,
        resamples=10,
    )
    assert some.notes == ("1 questions have answers of unknown correctness and are left out of the scores",)
    flags = overview_of(
        "letters", pool("Ab", "AB", conflict=[[False, True], [False, False]]).questions, subsets=2, resamples=10
    )
    assert flags.notes == ("1 answers are flagged against their text (flag_conflict); the flags were kept",)


@pytest.mark.parametrize("rows", [("A", "b"), ("A", "-"), ("AA", "BB"), ("-A", "B-")])
def test_the_smallest_pools_are_measured(rows: tuple[str, ...], pool: Pool, tmp_path: Path) -> None:
    found = overview_of("letters", pool(*rows).questions, subsets=2, resamples=10)
    assert len(write_overview(found, tmp_path)) == 5
    one = overview_of("letters", pool(rows[0]).questions)
    assert (one.measured, one.notes[-1][:15]) == (None, "of one question")


def test_correctness_alone_says_what_choosing_could_gain(pool: Pool) -> None:
    bare = overview_of(
        "letters", pool("Ab", "aB", answer=[[None] * 2] * 2, text=[[None] * 2] * 2).questions, subsets=2, resamples=10
    )
    assert bare.measured is not None
    assert [way.name for way in bare.measured.ways] == ["single", "best by reliability", "oracle"]
    assert bare.notes[-2:] == (
        "no texts were recorded, so there is nothing to fuse",
        "no comparable answers were recorded, so nothing is voted on",
    )


def test_recorded_fusions_are_held_against_the_recorded_best() -> None:
    made = {"bon": 1.0, "fused": 1.5}
    questions = []
    for i in range(5):
        derived = [RecordedCandidate(name, name, score=score + i, derived=True) for name, score in made.items()]
        questions.append(RecordedQuestion(f"q{i}", "?", (RecordedCandidate("m", "x"), *derived)))
    found = overview_of("sets", tuple(questions), resamples=20)
    (_, fused) = found.made
    assert fused.difference is not None
    assert fused.difference.mean == 0.5
    name, answered, quality, score, difference = overview_tables(found)[0].rows[1]
    assert (name, answered, quality, score[:5], difference) == (
        "fused",
        "5",
        "not known",
        "3.500",
        "+0.500 [+0.500, +0.500]",
    )
    assert found.notes[-1] == "made from other candidates, and so not in the pool: bon, fused"


def test_everything_is_written_and_read_back(overview: Overview, tmp_path: Path) -> None:
    written = write_overview(overview, tmp_path / "out")
    assert [path.name for path in written] == [
        "recorded.json", "recorded.md", "quality_against_n.png", "quality_against_n.svg", "quality_against_n.csv",
    ]  # fmt: skip
    assert all(path.stat().st_size > 100 for path in written)
    numbers = json.loads(written[0].read_text())
    assert numbers == json.loads(json.dumps(to_json(overview)))
    assert numbers["beta"]["share"] == 0.25
    assert [point["candidates"] for point in numbers["ways"]["vote"]["curve"]] == [1, 2, 3]
    assert written[4].read_text().splitlines()[0] == "way,n,score,low,high,questions"
    assert "| vote |" in written[1].read_text()


def test_tables_have_a_row_for_each_source_and_each_way(overview: Overview) -> None:
    sources, ways, curves, different = overview_tables(overview)
    assert [row[0] for row in sources.rows] == ["s0", "s1", "s2"]
    assert [row[0] for row in ways.rows] == [row[0] for row in curves.rows]
    assert curves.heads == ("way", "N=1", "N=2", "N=3")
    assert different.rows[0][0] == "3"
    assert "25.0 % of the questions have no right candidate" in ways.note


def test_a_folder_that_cannot_be_written_is_named(overview: Overview, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(
        ConfigurationError, match=r"cannot write to the folder .*file/out: Not a directory; choose another with --out"
    ):
        write_overview(overview, tmp_path / "file" / "out")
