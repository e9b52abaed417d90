"""The lines of one file of rows, without reading the rows: where each begins, which prompts they are of,
and a torn last one cut off.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

from dspy_fusion.programs.errors import RecordError

from .synthesized_rows import Row, read_rows

_INDEX = re.compile(rb'\{"index": (\d+),')
_CHUNK = 1 << 20


def row_places(path: Path) -> dict[int, tuple[int, int]]:
    """Where the row of each prompt lies in a file: its offset and length in bytes.

    Raises:
        RecordError: a line is no row.
    """
    places: dict[int, tuple[int, int]] = {}
    offset = 0
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            found = _INDEX.match(line)
            if found is None:
                raise RecordError(
                    f"{path}, line {number} is no row: {line[:60]!r}; remove that line to have its row made again"
                )
            places.setdefault(int(found[1]), (offset, len(line)))
            offset += len(line)
    return places


def rows_in_order(path: Path) -> Iterator[Row]:
    """The rows of a file by their prompts' places, one at a time, whatever order they were written in."""
    places = row_places(path)
    with path.open("rb") as file:
        for index in sorted(places):
            offset, length = places[index]
            file.seek(offset)
            yield Row.from_line(file.read(length))


def count_lines(path: Path) -> int:
    """How many lines a file has."""
    with path.open("rb") as file:
        return sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(_CHUNK), b""))


def cut_torn_line(path: Path) -> None:
    """Cuts off what was being written when the writer was killed: everything behind the last line feed."""
    with path.open("r+b") as file:
        end = file.seek(0, 2)
        keep = end
        while keep > 0:
            begin = max(0, keep - _CHUNK)
            file.seek(begin)
            found = file.read(keep - begin).rfind(b"\n")
            if found >= 0:
                keep = begin + found + 1
                break
            keep = begin
        if keep < end:
            file.truncate(keep)


def rewrite(source: Path, target: Path, unwanted: Callable[[Row], bool]) -> None:
    """Writes the rows of a file that are wanted to another, which may be the same; the source is gone afterwards."""
    partial = target.with_suffix(".partial")
    with partial.open("wb") as file:
        for row in read_rows(source):
            if not unwanted(row):
                file.write(row.to_line())
    partial.replace(target)
    if source != target:
        source.unlink()
