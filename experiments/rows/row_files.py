"""Rows of a local file, by its suffix: JSON lines, plain or compressed, a JSON array, Parquet, or CSV.

Errors name the file and the line.
"""

from __future__ import annotations

import csv
import gzip
import io
import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from dspy_fusion.programs.errors import ConfigurationError
from dspy_fusion.programs.extras import needs
from dspy_fusion.programs.json_text import read_json

from .row_limits import RowLimits, limited_lines, limited_rows

_DELIMITERS = (",", ";", "\t")
_QUOTED = re.compile(r'"(?:[^"]|"")*"')
_ROWS_AT_ONCE = 256  # of a Parquet file, so that it need not fit into memory whole


@dataclass(frozen=True)
class Row:
    """One row of a data set, and where it stood."""

    values: Mapping[str, Any]
    """By column."""
    where: str
    """The file and line, or the data set and row, as an error names it."""

    def get(self, *names: str) -> Any:
        """The value of the first of these columns that the row has.

        Raises:
            ConfigurationError: it has none of them.
        """
        for name in names:
            if name in self.values:
                return self.values[name]
        columns = f"a column {names[0]!r}" + (f" (or {', '.join(map(repr, names[1:]))})" if names[1:] else "")
        raise ConfigurationError(f"{self.where} lacks {columns}; its columns are: {', '.join(map(str, self.values))}")


def read_file(path: Path) -> Iterator[Row]:
    """The rows of a file in one of the formats of ``SUFFIXES``.

    Raises:
        ConfigurationError: the file cannot be read, or a line of it is broken.
    """
    suffix = next((suffix for suffix in SUFFIXES if path.name.endswith(suffix)), None)
    if suffix is None:
        raise ConfigurationError(f"cannot tell the format of {path}; its name should end in {', '.join(SUFFIXES)}")
    try:
        yield from _READERS[suffix](path)
    except OSError as error:
        raise ConfigurationError(f"cannot read {path}: {error.strerror or error}") from error


def _json_lines(path: Path) -> Iterator[Row]:
    for number, line in enumerate(lines_of(path), 1):
        if not line.strip():
            continue
        try:
            values = read_json(line)
        except (ValueError, RecursionError) as error:
            raise ConfigurationError(f"{path}, line {number} is no JSON ({error}); mend or remove the line") from error
        if not isinstance(values, dict):
            raise ConfigurationError(
                f"{path}, line {number} is no JSON object, but a {type(values).__name__}; mend or remove the line"
            )
        yield Row(values, f"{path}, line {number}")


def _json_array(path: Path) -> Iterator[Row]:
    """The objects of a JSON array, or of the only array that a JSON object holds; JSON lines under this suffix too."""
    text = "".join(lines_of(path))
    try:
        whole = read_json(text)
    except (ValueError, RecursionError) as error:
        if text.lstrip()[:1] == "{" and "\n{" in text.strip():
            yield from _json_lines(path)
            return
        raise ConfigurationError(f"{path} is no JSON ({error}); mend it") from error
    lists = [value for value in whole.values() if isinstance(value, list)] if isinstance(whole, dict) else [whole]
    if len(lists) != 1 or not isinstance(lists[0], list):
        raise ConfigurationError(
            f"{path} must be a JSON array of objects, or an object that holds one, but is a {type(whole).__name__}"
        )
    for number, values in enumerate(lists[0]):
        if not isinstance(values, dict):
            raise ConfigurationError(
                f"{path}, item {number} is no JSON object, but a {type(values).__name__}; mend or remove it"
            )
        yield Row(values, f"{path}, item {number}")


def lines_of(path: Path) -> Iterator[str]:
    """The lines of a text file with their ends, compressed or not, cut at line feeds only and no longer than
    ``row_limits`` allows; a break in the middle is told with the line before it.

    Raises:
        ConfigurationError: the file is broken, no UTF-8, or too long.
    """
    number = 0
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
            for raw in limited_lines(file, path):
                yield raw.decode("utf-8").removeprefix("" if number else "\ufeff")
                number += 1
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ConfigurationError(
            f"{path} is a broken gzip file after line {number} ({error}); fetch it again"
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path}, line {number + 1} is no UTF-8 ({error.reason}); mend the line") from error


def _csv(path: Path) -> Iterator[Row]:
    """Rows of a CSV file with a header line; a cell that holds a JSON list or object is read as one."""
    for row in csv_rows(path):
        yield Row({name: _cell(text) for name, text in row.values.items()}, row.where)


def csv_rows(path: Path) -> Iterator[Row]:
    """Rows of a CSV file as texts, one at a time. Its head says whether commas, semicolons or tabs lie between cells.

    Raises:
        ConfigurationError: it is no CSV, or a line has another number of cells than the head.
    """
    lines = _csv_lines(path)
    head = next(lines, "")
    reader = csv.DictReader(chain([head], lines), delimiter=_delimiter(head), strict=True)
    try:
        for values in reader:
            if None in values or None in values.values():
                raise ConfigurationError(
                    f"{path}, line {reader.line_num} has another number of cells than the head; mend the line"
                )
            yield Row(values, f"{path}, line {reader.line_num}")
    except csv.Error as error:
        raise ConfigurationError(
            f"{path} is no CSV after line {reader.line_num} ({error}); mend the next line"
        ) from error


def _csv_lines(path: Path) -> Iterator[str]:
    """The lines of a CSV file, whose ends may be carriage returns too."""
    for line in lines_of(path):
        yield from io.StringIO(line, newline="")


def _delimiter(head: str) -> str:
    """What lies between the cells of a head, outside of quotes; a comma where nothing does."""
    bare = _QUOTED.sub("", head)
    return max(_DELIMITERS, key=bare.count) if any(sign in bare for sign in _DELIMITERS) else _DELIMITERS[0]


def _cell(text: str) -> Any:
    if text[:1] not in ("[", "{"):
        return text
    try:
        return read_json(text)
    except (ValueError, RecursionError):
        return text


def parquet_rows(path: Path, extra: str = "tasks") -> Iterator[Row]:
    """The rows of a Parquet file, of which no more is unpacked at once than ``row_limits`` allows a few rows.

    Raises:
        ConfigurationError: the file is none, is broken, or holds too much.
    """
    with needs(f"reading {path}", extra):
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    number = 0
    try:
        with ParquetFile(path) as file:
            limits = RowLimits.now()
            groups = [file.metadata.row_group(place) for place in range(file.num_row_groups)]
            limits.check_file(path, sum(group.total_byte_size for group in groups))
            for group in groups:
                limits.check_row(f"{path}, a row", group.total_byte_size // max(1, group.num_rows))
            for batch in file.iter_batches(batch_size=_ROWS_AT_ONCE):
                limits.check_file(path, batch.nbytes)
                for values in limited_rows(batch.to_pylist(), str(path), number):
                    yield Row(values, f"{path}, row {number}")
                    number += 1
    except ArrowException as error:
        raise ConfigurationError(
            f"{path} is no Parquet file, or is broken from row {number} on ({error}); fetch it again"
        ) from error


_READERS: dict[str, Callable[[Path], Iterator[Row]]] = {
    ".jsonl.gz": _json_lines,
    ".jsonl": _json_lines,
    ".parquet": parquet_rows,
    ".csv": _csv,
    ".csv.gz": _csv,
    ".tsv": _csv,
    ".json": _json_array,
    ".json.gz": _json_array,
}
SUFFIXES = tuple(_READERS)
"""The endings that a local file may have, most wanted first."""
