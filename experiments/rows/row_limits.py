"""How much of a file is read: a small compressed file may hold one line of gigabytes, and would fill the memory.

A line may have 64 MiB and a file, once it is unpacked, 16 GiB; ``DSPY_FUSION_MAX_LINE_MIB`` and
``DSPY_FUSION_MAX_FILE_MIB`` say otherwise.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

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

    def check_file(self, path: Path, size: int) -> None:
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
        if len(line) > limits.line:
            raise ConfigurationError(
                f"{path}, line {number} has more than {limits.line / _MIB:g} MiB; remove it, or set {LINE_VARIABLE}"
            )
        limits.check_file(path, size)
        yield line


def _bytes(variable: str, default: int) -> int:
    text = os.environ.get(variable, "")
    try:
        value = float(text) if text else default / _MIB
    except ValueError:
        value = 0.0
    if not 0 < value < 1 << 40:
        raise ConfigurationError(f"{variable} must be a positive number of MiB, but is {text!r}")
    return int(value * _MIB)
