"""How much of a file is read: a small compressed file may hold one line of gigabytes, and would fill the memory.

A line may have 64 MiB and a file, once it is unpacked, 16 GiB; ``DSPY_FUSION_MAX_LINE_MIB`` and
``DSPY_FUSION_MAX_FILE_MIB`` say otherwise.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from dspy_fusion.programs.errors import ConfigurationError

LINE_VARIABLE, FILE_VARIABLE = "DSPY_FUSION_MAX_LINE_MIB", "DSPY_FUSION_MAX_FILE_MIB"
_MIB = 1 << 20


@dataclass(frozen=True)
class RowLimits:
    """The most bytes that are read of a line and of a file."""

    line: int = 64 * _MIB
    file: int = 16 * 1024 * _MIB

    @classmethod
    def now(cls) -> RowLimits:
        """Those of the environment.

        Raises:
            ConfigurationError: a variable is no positive number.
        """
        return cls(_bytes(LINE_VARIABLE, cls.line), _bytes(FILE_VARIABLE, cls.file))

    def check_row(self, where: str, size: int) -> None:
        """Raises ``ConfigurationError`` where a row holds more than a line may have."""
        if size > self.line:
            raise ConfigurationError(
                f"{where} has more than {self.line / _MIB:g} MiB; remove it, or set {LINE_VARIABLE}"
            )

    def check_file(self, path: Path | str, size: int) -> None:
        """Raises ``ConfigurationError`` where a file holds more than is read."""
        if size > self.file:
            raise ConfigurationError(
                f"{path} holds more than {self.file / _MIB:g} MiB once it is unpacked; split it, or set {FILE_VARIABLE}"
            )


def limited_lines(file: object, path: Path) -> Iterator[bytes]:
    """The lines of a binary file with their ends, read no further than the limits.

    Raises:
        ConfigurationError: a line or the file is longer than they allow; the message names the line.
    """
    limits, opened, number, size = RowLimits.now(), cast("BinaryIO", file), 0, 0
    while line := opened.readline(limits.line + 1):
        number, size = number + 1, size + len(line)
        limits.check_row(f"{path}, line {number}", len(line))
        limits.check_file(path, size)
        yield line


def limited_rows(rows: Iterable[Mapping[str, Any]], where: str, first: int = 0) -> Iterator[Mapping[str, Any]]:
    """The rows of a data set that a library reads, such as one of the hub, as far as the limits allow.

    Args:
        rows: the rows.
        where: the data set, for messages.
        first: the number of the first row.

    Raises:
        ConfigurationError: a row or all of them together hold more than a line or a file may have.
    """
    limits, total = RowLimits.now(), 0
    for number, values in enumerate(rows, first):
        total += (size := _size(values))
        limits.check_row(f"{where}, row {number}", size)
        limits.check_file(where, total)
        yield values


def _size(value: Any) -> int:
    """About how many bytes plain data has."""
    left, size = [value], 0
    while left:
        item = left.pop()
        if isinstance(item, str | bytes):
            size += len(item)
        elif isinstance(item, Mapping):
            left += [*item.keys(), *item.values()]
        elif isinstance(item, list | tuple):
            left += item
        else:
            size += 8
    return size


def _bytes(variable: str, default: int) -> int:
    text = os.environ.get(variable, "")
    try:
        value = float(text) if text else default / _MIB
    except ValueError:
        value = 0.0
    if not 0 < value < 1 << 40:
        raise ConfigurationError(f"{variable} must be a positive number of MiB, but is {text!r}")
    return int(value * _MIB)
