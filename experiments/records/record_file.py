"""Records: one JSON line per (task, example, strategy, seed), the truth of which tables, plots and MLflow are views.

A killed run loses at most the line it was writing; that torn line is cut off when the file is added to again, and its
work is done anew.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

from dspy_fusion.programs.banks.json_lines import JsonLines, whole_lines
from dspy_fusion.programs.errors import ConfigurationError, RecordError

from .record import Key, Record


class RecordFile:
    """A JSONL file of records that several threads append to.

    A later record replaces an earlier one with the same key.
    """

    def __init__(self, path: Path) -> None:
        """Opens the file and reads what it holds; a torn last line is cut off when the first record is added.

        Raises:
            ConfigurationError: the file cannot be written.
            RecordError: a line other than the last is no record.
        """
        self.path = path
        self._lock = threading.Lock()
        self._failed = {record.key: bool(record.error) for record in _each(path)} if path.exists() else {}
        self._file: JsonLines | None = None  # who only reads may do so beside the process that writes
        try:
            path.touch()
        except OSError as error:
            raise ConfigurationError(
                f"cannot write records to {path}: {error.strerror}; choose another folder"
            ) from error

    def append(self, record: Record) -> None:
        """Writes one record and hands it to the operating system before returning."""
        line = record.to_json().encode()
        with self._lock:
            self._file = self._file or JsonLines(self.path)
            self._file.append(line)
            self._failed[record.key] = bool(record.error)

    @property
    def failed(self) -> dict[Key, bool]:
        """Of each record that is there, by its key, whether it is of a failure; nothing else of them is in memory."""
        with self._lock:
            return dict(self._failed)

    @property
    def records(self) -> tuple[Record, ...]:
        """All records, in the order in which their keys were first written, read from the file."""
        with self._lock:
            return read_records(self.path)

    def close(self) -> None:
        """Closes the file; what was appended stays readable."""
        if self._file is not None:
            self._file.close()


def read_records(path: Path) -> tuple[Record, ...]:
    """Reads a file of records without touching it; a torn last line is left out, and of one key the last record counts.

    Raises:
        RecordError: the file cannot be read, or a line other than a torn last one is no record.
    """
    return tuple({record.key: record for record in _each(path)}.values())


def _each(path: Path) -> Iterator[Record]:
    number = 0
    try:
        for _, line in whole_lines(path):
            number += 1
            yield Record.from_json(line.decode("utf-8", "replace"))
    except OSError as error:
        raise RecordError(f"cannot read records from {path}: {error.strerror}") from error
    except RecordError as error:
        raise RecordError(f"{path}, line {number}: {error}; remove that line to go on without it") from error
