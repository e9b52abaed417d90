"""Rows of a file of prompts, one at a time: such a file may be larger than memory.

Tasks read CSV and Parquet files whole; here both are streamed, and JSON lines are read as tasks read them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from dspy_fusion.programs.errors import ConfigurationError
from dspy_fusion.programs.extras import needs

from ..rows.row_files import SUFFIXES, Row, csv_rows, read_file
from ..rows.row_limits import RowLimits

_CHUNK = 1 << 20


def stream_rows(path: Path) -> Iterator[Row]:
    """The rows of a file in one of the formats that its name may end in.

    Raises:
        ConfigurationError: the file cannot be read, or a line of it is broken; the message names the line.
    """
    suffix = next((suffix for suffix in SUFFIXES if path.name.endswith(suffix)), None)
    if suffix is None:
        raise ConfigurationError(f"cannot tell the format of {path}; its name should end in {', '.join(SUFFIXES)}")
    try:
        if suffix.startswith((".csv", ".tsv")):
            yield from csv_rows(path)
        elif suffix == ".parquet":
            yield from _parquet(path)
        else:
            yield from read_file(path)
    except OSError as error:
        raise ConfigurationError(f"cannot read {path}: {error.strerror or error}") from error


def file_digest(path: Path) -> str:
    """The SHA-256 digest of a file's bytes, in hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _parquet(path: Path) -> Iterator[Row]:
    with needs(f"reading {path}", "synthesize"):
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    try:
        number = 0
        with ParquetFile(path) as file:
            limits = RowLimits.now()
            limits.check_file(path, sum(file.metadata.row_group(i).total_byte_size for i in range(file.num_row_groups)))
            for batch in file.iter_batches(batch_size=256):
                limits.check_file(path, batch.nbytes)
                for values in batch.to_pylist():
                    yield Row(values, f"{path}, row {number}")
                    number += 1
    except ArrowException as error:
        raise ConfigurationError(f"{path} is no Parquet file ({error}); fetch it again") from error
