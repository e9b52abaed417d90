from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from dspy_fusion.experiments.synthesis.shards import OPEN_SHARDS, Shards
from dspy_fusion.experiments.synthesis.synthesized_rows import Dropped, Row
from dspy_fusion.programs.errors import ConfigurationError, RecordError

MakeRow = Callable[..., Row]


class Plain:
    """Marks nothing, and notes in which order rows come."""

    def __init__(self) -> None:
        self.seen: list[int] = []

    def mark(self, row: Row) -> Row:
        self.seen.append(row.index)
        return row

    def commit(self) -> None:
        pass


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_files_have_their_rows_in_order_however_they_arrive(tmp_path: Path, row: MakeRow) -> None:
    shards, plain = Shards(tmp_path, 4), Plain()
    places = list(range(10))
    random.Random(1).shuffle(places)
    for place in places:
        shards.append(row(place))
        while shards.can_finish:
            shards.finish_next(plain)
    shards.finish_rest(plain)
    assert plain.seen == list(range(10))
    assert names(tmp_path) == ["rows-00000.jsonl", "rows-00001.jsonl", "rows-00002.jsonl"]
    assert [found.index for found in shards.read()] == list(range(10))


def test_a_torn_line_is_cut_off_and_its_row_missing(tmp_path: Path, row: MakeRow) -> None:
    Shards(tmp_path, 4).append(row(2))
    part = tmp_path / "rows-00000.part"
    part.write_bytes(part.read_bytes() + row(3).to_line()[:-5])
    shards = Shards(tmp_path, 4)
    assert [shards.has(place) for place in range(4)] == [False, False, True, False]
    shards.append(row(3))
    assert shards.count == 2
    assert [found.index for found in Shards(tmp_path, 4).read()] == [2, 3]


def test_a_file_that_was_being_finished_is_finished_again(tmp_path: Path, row: MakeRow) -> None:
    shards = Shards(tmp_path, 2)
    for place in range(2):
        shards.append(row(place))
    part = (tmp_path / "rows-00000.part").read_bytes()
    (tmp_path / "rows-00000.partial").write_bytes(part[:9])  # killed while writing
    again = Shards(tmp_path, 2)
    again.finish_next(Plain())
    (tmp_path / "rows-00000.part").write_bytes(part)  # killed after the new file appeared
    assert Shards(tmp_path, 2).begin == 2
    assert names(tmp_path) == ["rows-00000.jsonl"]


def test_the_last_short_file_goes_on_when_there_are_more_prompts(tmp_path: Path, row: MakeRow) -> None:
    shards = Shards(tmp_path, 4)
    for place in range(6):
        shards.append(row(place))
    shards.finish_rest(Plain())
    again = Shards(tmp_path, 4)
    assert (again.begin, again.count, again.has(5), again.has(6)) == (6, 6, True, False)
    again.append(row(6))
    assert names(tmp_path) == ["rows-00000.jsonl", "rows-00001.part"]
    again.finish_rest(Plain())
    assert [found.index for found in again.read()] == list(range(7))


def test_only_a_few_files_are_open(tmp_path: Path, row: MakeRow) -> None:
    shards = Shards(tmp_path, 2)
    assert shards.limit == 2 * OPEN_SHARDS
    shards.append(row(0))
    shards.append(row(1))
    shards.finish_next(Plain())
    assert shards.limit == 2 * OPEN_SHARDS + 2


def test_rows_are_forgotten_and_their_files_and_the_later_ones_open_again(tmp_path: Path, row: MakeRow) -> None:
    shards = Shards(tmp_path, 2)
    for place in range(7):
        shards.append(row(place, dropped=Dropped("failed", "why") if place in (3, 6) else None))
    for _ in range(3):
        shards.finish_next(Plain())
    assert shards.forget(lambda found: found.dropped is not None) == 2
    assert [shards.has(place) for place in range(7)] == [True, True, True, False, True, True, False]
    assert names(tmp_path) == ["rows-00000.jsonl", "rows-00001.part", "rows-00002.part", "rows-00003.part"]
    (tmp_path / "rows-00002.part").rename(tmp_path / "rows-00002.jsonl")  # killed half-way through forgetting
    assert [found.index for found in Shards(tmp_path, 2).read()] == [0, 1, 2, 4, 5]


def test_a_line_that_is_no_row_is_named(tmp_path: Path) -> None:
    (tmp_path / "rows-00000.part").write_text("nonsense\n")
    with pytest.raises(RecordError, match=r"rows-00000.part, line 1 is no row: b'nonsense"):
        Shards(tmp_path, 2)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, row: MakeRow) -> None:
    shards = Shards(tmp_path, 2)
    (tmp_path / "rows-00000.part").mkdir()
    with pytest.raises(ConfigurationError, match=r"cannot write rows to .*: Is a directory; finished rows are safe"):
        shards.append(row(0))


def test_a_full_disk_costs_no_finished_row(row: MakeRow, tmp_path: Path) -> None:
    shards = Shards(tmp_path, 2)
    (tmp_path / "rows-00000.part").symlink_to("/dev/full")
    with pytest.raises(ConfigurationError, match=r"cannot write rows to .*: No space left on device"):
        shards.append(row(0))
    assert not shards.has(0)
