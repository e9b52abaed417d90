"""Rows on disk in files of a fixed number of prompts each.

A row is safe when ``append`` returns, and a finished file never changes.

A row goes at once, in one write, into its file's ``.part``, in whatever order rows arrive. When all of them are there
and every earlier file is finished, the rows are written in the order of their prompts, passing what may mark them, and
the ``.part`` is gone. Of a killed run at most the line it was writing is lost. In memory there is one byte a row, of
unfinished files only.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from dspy_fusion.programs.banks.json_lines import JsonLines
from dspy_fusion.programs.errors import ConfigurationError

from .part_files import count_lines, rewrite, row_places, rows_in_order
from .synthesized_rows import Row, read_rows

OPEN_SHARDS = 3
"""How many files may be unfinished before no further prompt is taken."""


class Marker(Protocol):
    """What looks at rows when their file is finished."""

    def mark(self, row: Row) -> Row:
        """The row as it is to be kept; called in the order of the prompts."""
        ...

    def commit(self) -> None:
        """Called when all rows of a file were marked, before the file appears."""
        ...


@dataclass
class _Part:
    """An unfinished file, and which of its rows are there."""

    path: Path
    there: bytearray
    file: JsonLines | None = field(default=None, repr=False)

    @property
    def count(self) -> int:
        return self.there.count(1)

    def close(self) -> None:
        if self.file is not None:
            self.file.close()


def shard_path(folder: Path, shard: int) -> Path:
    """The finished file with a number."""
    return folder / f"rows-{shard:05d}.jsonl"


def finished_files(folder: Path) -> Iterator[Path]:
    """The finished files of a folder in order; the first one that is missing ends them."""
    shard = 0
    while (path := shard_path(folder, shard)).exists():
        yield path
        shard += 1


class Shards:
    """The row files of a folder.

    One process may have them open; ``append`` and ``finish_next`` may be called from two threads.

    Args:
        folder: where they lie.
        rows: how many prompts a file is for.

    Raises:
        ConfigurationError: the folder cannot be written.
        RecordError: a line of an unfinished file is no row.
    """

    def __init__(self, folder: Path, rows: int) -> None:
        self.folder, self.rows = folder, rows
        self._lock = threading.Lock()
        self._open()

    @property
    def begin(self) -> int:
        """The first prompt whose row may be missing."""
        return self._finished * self.rows - (self.rows - self._last if self._finished else 0)

    @property
    def limit(self) -> int:
        """The first prompt that must wait until a file is finished."""
        return (self._finished + OPEN_SHARDS) * self.rows

    @property
    def count(self) -> int:
        """How many rows there are."""
        with self._lock:
            return self.begin + sum(part.count for part in self._parts.values())

    @property
    def can_finish(self) -> bool:
        """Whether all rows of the first unfinished file are there."""
        with self._lock:
            part = self._parts.get(self._finished)
            return part is not None and part.count == self.rows

    def has(self, index: int) -> bool:
        """Whether a prompt's row is there."""
        with self._lock:
            part = self._parts.get(index // self.rows)
            return index < self.begin or (part is not None and bool(part.there[index % self.rows]))

    def append(self, row: Row) -> None:
        """Writes one row and hands it to the operating system before returning.

        Raises:
            ConfigurationError: the row cannot be written, such as where the disk is full.
        """
        line, shard = row.to_line()[:-1], row.index // self.rows
        with self._writing(), self._lock:
            if shard < self._finished:
                self._reopen_last()
            part = self._parts.setdefault(shard, _Part(self._part_path(shard), bytearray(self.rows)))
            if part.file is None:
                part.file = JsonLines(part.path)
            part.file.append(line)
            part.there[row.index % self.rows] = 1

    def finish_next(self, marker: Marker) -> None:
        """Finishes the first unfinished file: its rows in order, each as it is marked.

        The new file appears whole or not at all.
        """
        shard = self._finished
        with self._lock:
            part = self._parts[shard]
        with self._writing():
            partial = part.path.with_suffix(".partial")
            with partial.open("wb") as file:
                for row in rows_in_order(part.path):
                    file.write(marker.mark(row).to_line())
                file.flush()
                os.fsync(file.fileno())
            marker.commit()
            partial.replace(shard_path(self.folder, shard))
            part.path.unlink()
        with self._lock:
            self._finished, self._last = shard + 1, part.count
            del self._parts[shard]
        part.close()

    def finish_rest(self, marker: Marker) -> None:
        """Finishes what is unfinished, the last file being as long as it is; for when no prompt is left."""
        while self._parts:
            self.finish_next(marker)

    def forget(self, unwanted: Callable[[Row], bool]) -> int:
        """Takes out rows, to have them made again, and returns how many.

        From the first file with one of them on, files become unfinished, for what is a duplicate depends on the rows
        before it.
        """
        forgotten = 0
        with self._writing():
            for path in list(self._row_files()):
                count = sum(map(unwanted, read_rows(path)))
                forgotten += count
                if count or (forgotten and path.suffix == ".jsonl"):
                    rewrite(path, path.with_suffix(".part"), unwanted)
        self.close()
        self._open()
        return forgotten

    def read(self, *, finished: bool = False) -> Iterator[Row]:
        """All rows, those of finished files first and in order; or only those."""
        for path in finished_files(self.folder) if finished else self._row_files():
            yield from read_rows(path)

    def close(self) -> None:
        """Closes the files; what was appended stays."""
        for part in self._parts.values():
            part.close()

    def _open(self) -> None:
        with self._writing():
            finished = list(finished_files(self.folder))
            self._finished = len(finished)
            for path in self.folder.glob("rows-*.partial"):
                path.unlink()
            for path in self.folder.glob("rows-*.jsonl"):
                if path not in finished:
                    path.replace(
                        path.with_suffix(".part")
                    )  # killed while rows were being taken out of the files before it
            for path in finished:
                path.with_suffix(".part").unlink(missing_ok=True)  # killed between the new file's appearance and this
            self._last = count_lines(finished[-1]) if finished else self.rows
            self._parts = {self._number(path): self._read_part(path) for path in self.folder.glob("rows-*.part")}

    def _read_part(self, path: Path) -> _Part:
        file = JsonLines(path)
        there = bytearray(self.rows)
        for index in row_places(path):
            there[index % self.rows] = 1
        return _Part(path, there, file)

    def _reopen_last(self) -> None:
        """The last finished file was shorter than the others and there are more prompts now."""
        shard = self._finished - 1
        path = shard_path(self.folder, shard).replace(self._part_path(shard))
        self._parts[shard] = self._read_part(path)
        self._finished, self._last = shard, self.rows

    def _row_files(self) -> Iterator[Path]:
        yield from finished_files(self.folder)
        yield from sorted(self.folder.glob("rows-*.part"), key=self._number)

    def _part_path(self, shard: int) -> Path:
        return shard_path(self.folder, shard).with_suffix(".part")

    @staticmethod
    def _number(path: Path) -> int:
        return int(path.stem.removeprefix("rows-"))

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            message = (
                f"cannot write rows to {self.folder}: {error.strerror or error}; finished rows are safe, the same"
                " command goes on"
            )
            raise ConfigurationError(message) from error
