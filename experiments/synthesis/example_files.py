"""Files of training examples, written one example at a time: JSON lines, or Parquet in row groups."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from dspy_fusion.programs.errors import ConfigurationError
from dspy_fusion.programs.extras import needs

KINDS = ("jsonl", "parquet")
_ROW_GROUP = 1000


def write_examples(examples: Iterable[dict[str, Any]], path: Path, kind: str) -> int:
    """Writes a file of examples and returns how many there are; the file appears whole or not at all.

    Raises:
        ConfigurationError: the file cannot be written, or ``kind`` is none, or pyarrow is missing.
    """
    if kind not in KINDS:
        raise ConfigurationError(f"--to must be one of {', '.join(KINDS)}, but got {kind!r}")
    partial = path.with_suffix(".partial")
    try:
        count = (_parquet if kind == "parquet" else _json_lines)(examples, partial)
        partial.replace(path)
    except OSError as error:
        raise ConfigurationError(
            f"cannot write {path}: {error.strerror or error}; choose another folder with --out"
        ) from error
    return count


def _json_lines(examples: Iterable[dict[str, Any]], path: Path) -> int:
    count = 0
    with path.open("wb") as file:
        for example in examples:
            file.write((json.dumps(example, ensure_ascii=False) + "\n").encode("utf-8", "replace"))
            count += 1
        os.fsync(file.fileno())
    return count


def _parquet(examples: Iterable[dict[str, Any]], path: Path) -> int:
    with needs("writing Parquet", "synthesize", otherwise="take --to jsonl"):
        import pyarrow as pa
        from pyarrow.parquet import ParquetWriter
    writer, group, count = None, [], 0
    try:
        for example in examples:
            group.append(example)
            count += 1
            if writer is None:
                writer = ParquetWriter(path, pa.Table.from_pylist(group).schema, compression="zstd")
            if len(group) == _ROW_GROUP:
                writer.write_table(pa.Table.from_pylist(group, schema=writer.schema))
                group = []
        if writer is None:
            writer = ParquetWriter(path, pa.schema([]))
        elif group:
            writer.write_table(pa.Table.from_pylist(group, schema=writer.schema))
    finally:
        if writer is not None:
            writer.close()
    return count
