"""An analysis on disk: its numbers as JSON lines, its tables as Markdown, its figure.

Made again from the records at any time.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dspy_fusion.programs.errors import ConfigurationError

from ..pools.overview_files import known
from ..presentation.text_table import TextTable

if TYPE_CHECKING:
    from ..presentation.figure import Plot


@dataclass(frozen=True)
class Findings:
    """What an analysis found.

    Attributes:
        name: of its files.
        tables: for people.
        records: for programs, one mapping a line; scores in [0, 1].
        notes: what a reader must know.
    """

    name: str
    tables: tuple[TextTable, ...]
    records: Sequence[Mapping[str, Any]]
    notes: tuple[str, ...] = ()


def write_findings(findings: Findings, folder: Path, draw: Callable[[Path], Plot]) -> tuple[Path, ...]:
    """Writes everything into a folder, the figure last; returns what was written.

    Raises:
        ConfigurationError: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        records, tables = folder / f"{findings.name}.jsonl", folder / f"{findings.name}.md"
        lines = [json.dumps(known(dict(record)), ensure_ascii=False, allow_nan=False) for record in findings.records]
        records.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        blocks = [f"{table.title}\n\n{table.markdown()}\n\n{table.note}".rstrip() for table in findings.tables]
        tables.write_text("\n\n".join([*blocks, *findings.notes]) + "\n", encoding="utf-8")
        plot = draw(folder)
        return records, tables, plot.png, plot.svg, plot.data
    except OSError as error:
        raise ConfigurationError(
            f"cannot write to the folder {folder}: {error.strerror}; choose another with --out"
        ) from error
