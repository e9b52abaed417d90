"""The lines of one file of rows, without reading the rows: where each begins, and which prompts they are of."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

from dspy_fusion.programs.banks.json_lines import whole_lines
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
    for number, (begin, line) in enumerate(whole_lines(path), 1):
        match = _INDEX.match(line)
        if match is None:
            raise RecordError(
                f"{path}, line {number} is no row: {line[:60]!r}; remove that line to have its row made again"
            )
        places.setdefault(int(match[1]), (begin, len(line)))
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
