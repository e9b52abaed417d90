"""Cutting a data set from the rows of a synthesis.

The examples, a card, and an entry for LLaMA-Factory, in a folder of their own.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from dspy_fusion.optimizers.finetuning import TrainingRow
from dspy_fusion.programs.errors import ConfigurationError

from ..runs.run_file import write_whole
from .dataset_card import UNKNOWN, card, llama_factory_entry
from .example_files import write_examples
from .folder import read_folder
from .shards import finished_files
from .synthesized_rows import Row, read_rows
from .totals import Totals
from .training_rows import Shape

T = TypeVar("T")


@dataclass(frozen=True)
class Export:
    """A data set that was written.

    Attributes:
        folder: where it lies.
        file: the examples.
        examples: how many there are.
        totals: counts over the rows they were cut from.
        unfinished: whether the synthesis has rows in unfinished files, which are left out.
    """

    folder: Path
    file: Path
    examples: int
    totals: Totals
    unfinished: bool


def export(path: Path, shape: Shape, *, to: str = "jsonl", out: Path | None = None, licence: str = UNKNOWN) -> Export:
    """Exports the rows that were kept, of finished files.

    Args:
        path: the folder of the synthesis.
        shape: what examples to make.
        to: ``jsonl`` or ``parquet``.
        out: folder of the data set; None takes one in the synthesis' own, named after the format.
        licence: of the data set, for its card.

    Raises:
        RecordError: the folder holds no synthesis.
        ConfigurationError: the rows have not what the examples need, there are none, or the data set cannot be written.
    """
    stored = read_folder(path)
    shape.check(stored.config)
    folder = out or stored.folder.exports / shape.format
    file, totals = folder / f"{shape.format}.{to}", Totals()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        examples = write_examples(_each(path, shape.examples, totals), file, to)
        if not examples:
            file.unlink()
            raise ConfigurationError(f"no row of {path} gives an example: {_why_none(totals)}")
        text = card(stored, shape, totals, examples=examples, file=file.name, licence=licence)
        (folder / "README.md").write_text(text, encoding="utf-8")
        if shape.reader == "llama-factory":
            write_whole(
                folder / "dataset_info.json", llama_factory_entry(shape, f"dspy_fusion_{shape.format}", file.name)
            )
    except OSError as error:
        raise ConfigurationError(
            f"cannot write to {folder}: {error.strerror}; choose another folder with --out"
        ) from error
    return Export(folder, file, examples, totals, any(path.glob("rows-*.part")))


def exported_rows(path: Path, shape: Shape) -> Iterator[TrainingRow]:
    """The training rows that an export would hold, of finished files, without writing any.

    Raises:
        RecordError: the folder holds no synthesis.
        ConfigurationError: the rows have not what the examples need, or give none.
    """
    shape.check(read_folder(path).config)
    totals, some = Totals(), False
    for row in _each(path, shape.rows, totals):
        some = True
        yield row
    if not some:
        raise ConfigurationError(f"no row of {path} gives an example: {_why_none(totals)}")


def _each(path: Path, made_of: Callable[[Row], Iterator[T]], totals: Totals) -> Iterator[T]:
    """What is made of every row that was kept, counting those that are gone past."""
    for row in _rows(path):
        totals.add(row)
        if row.dropped is None:
            yield from made_of(row)


def _rows(path: Path) -> Iterator[Row]:
    for file in finished_files(path):
        yield from read_rows(file)


def _why_none(totals: Totals) -> str:
    if not totals.rows:
        return "no file of rows is finished yet; let the synthesis go on"
    return f"of {totals.rows} rows {totals.kept} were kept; dropped: {json.dumps(totals.plain()['dropped'])}"
