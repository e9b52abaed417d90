from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from dspy_fusion.experiments.synthesis.duplicates import DuplicateIndex, shingles
from dspy_fusion.experiments.synthesis.synthesized_rows import Row
from dspy_fusion.programs.errors import RecordError

pytest.importorskip("datasketch")
WORDS = Path(__file__).read_text().split()


def text(seed: int, length: int = 80) -> str:
    return " ".join(random.Random(seed).choices(WORDS, k=length))


def test_a_near_copy_is_like_the_first_of_its_kind(tmp_path: Path, row: Callable[..., Row]) -> None:
    index = DuplicateIndex(tmp_path / "d.db", 0.8)
    assert index.check(row(0, text(1))) is None
    assert index.check(row(1, text(2))) is None
    assert index.check(row(2, text(1).replace(WORDS[3], "otherwise", 1))) is not None
    found = index.check(row(3, text(1).upper() + "\n"))
    assert found is not None
    assert found.place == 0
    assert found.similarity >= 0.95


def test_at_a_threshold_of_one_only_copies_are_found(tmp_path: Path, row: Callable[..., Row]) -> None:
    index = DuplicateIndex(tmp_path / "d.db", 1.0)
    assert index.check(row(0, text(1))) is None
    assert index.check(row(1, text(1).replace("a", "e", 9))) is None
    assert index.check(row(2, text(1))) is not None


def test_what_is_found_depends_on_the_rows_alone(tmp_path: Path, row: Callable[..., Row]) -> None:
    rows = [row(place, text(place % 7)) for place in range(30)]
    whole = DuplicateIndex(tmp_path / "a.db", 0.9)
    undisturbed = [whole.check(item) for item in rows]
    index = DuplicateIndex(tmp_path / "b.db", 0.9)
    for item in rows[:10]:
        index.check(item)
    index.commit()
    for item in rows[10:18]:
        index.check(item)  # of a file that was not finished: rolled back
    index.close()
    index = DuplicateIndex(tmp_path / "b.db", 0.9)
    assert [index.check(item) for item in rows[10:18]] == undisturbed[10:18]
    index.commit()  # committed, but killed before the file appeared
    assert [index.check(item) for item in rows[10:]] == undisturbed[10:]


def test_a_lost_index_is_filled_from_the_rows(tmp_path: Path, row: Callable[..., Row]) -> None:
    index = DuplicateIndex(tmp_path / "d.db", 0.9)
    index.fill(iter([row(0, text(1)), row(1, text(2))]))
    assert index.check(row(2, text(2))) is not None


def test_a_row_made_again_counts_as_it_is_now(tmp_path: Path, row: Callable[..., Row]) -> None:
    index = DuplicateIndex(tmp_path / "d.db", 0.9)
    index.check(row(0, text(1)))
    index.check(row(0, text(2)))
    assert index.check(row(1, text(1))) is None


def test_a_file_that_is_no_index_is_named(tmp_path: Path) -> None:
    (tmp_path / "d.db").write_text("nonsense " * 100)
    with pytest.raises(RecordError, match=r"d.db cannot be used .*; the rows are safe"):
        DuplicateIndex(tmp_path / "d.db", 0.9)


def test_similarity_is_the_share_of_common_runs_of_characters() -> None:
    assert shingles("Abc  DEF\n") == shingles("abc def")
    assert len(shingles("")) == 1
    assert not set(shingles("one two three")) & set(shingles("сорок тысяч"))
