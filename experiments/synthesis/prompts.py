"""Prompts, one at a time, from a file, the hub or a task. A file is read through once before any model is called.

That pass finds every broken line while nothing has been paid for, and gives the number of rows and the digest that tell
one file from another; from then on a prompt is known by its place.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from dspy_fusion.programs.errors import ConfigurationError
from dspy_fusion.programs.extras import needs
from dspy_fusion.programs.tasks.signatures import input_digest

from ..rows.row_files import SUFFIXES, Row, csv_rows, parquet_rows, read_file
from ..rows.row_limits import limited_rows
from .synthesis_config import PromptsConfig, SynthesisConfig

_CHUNK = 1 << 20


@dataclass(frozen=True)
class Prompt:
    """One prompt."""

    index: int
    """Its place in the data set, from 0."""
    text: str
    """What the teachers are asked; blank where the data set has nothing there."""
    language: str
    """Its language where the data set or the configuration says so, else empty."""
    where: str
    """The file and line, or the data set and row."""


class Source(Protocol):
    """Where prompts come from."""

    @property
    def total(self) -> int | None:
        """How many there are, where that is known."""
        ...

    @property
    def about(self) -> Mapping[str, Any]:
        """What tells this source from another, for the run's folder and the data set's card."""
        ...

    @property
    def system(self) -> str:
        """System text that belongs to the prompts."""
        ...

    def read(self, start: int = 0) -> Iterator[Prompt]:
        """The prompts from a place on."""
        ...


def open_source(config: SynthesisConfig) -> Source:
    """The source of a synthesis, looked through as far as that can be done beforehand.

    Raises:
        ConfigurationError: there is no such file, data set or task, it is empty, a line is broken, or the prompt column
            is missing.
    """
    prompts = config.prompts
    if prompts.file:
        return FileSource(prompts)
    if prompts.hub:
        return HubSource(prompts)
    from .task_prompts import TaskSource

    return TaskSource(config)


class FileSource:
    """Prompts of a local file."""

    system = ""

    def __init__(self, config: PromptsConfig) -> None:
        self.config, self.path = config, Path(config.file)
        self.total = sum(1 for _ in self.read())
        if not self.total:
            raise ConfigurationError(f"{self.path} holds no rows; give a file with prompts")
        digest = file_digest(self.path)
        self.about = {"file": str(self.path), "rows": self.total, "bytes": self.path.stat().st_size, "sha256": digest}

    def read(self, start: int = 0) -> Iterator[Prompt]:
        """The prompts from a place on."""
        for index, row in islice(enumerate(stream_rows(self.path)), start, None):
            yield read_prompt(self.config, row, index)


class HubSource:
    """Prompts of a data set on the hub, streamed."""

    system = ""
    total = None

    def __init__(self, config: PromptsConfig) -> None:
        self.config = config
        self.about = {"hub": config.hub, "subset": config.subset, "split": config.split, "revision": config.revision}
        first = next(self.read(), None)
        if first is None:
            raise ConfigurationError(f"the split {config.split!r} of {config.hub} is empty; take another split")
        self.about |= {"digest_of_first": input_digest({"text": first.text})}

    def read(self, start: int = 0) -> Iterator[Prompt]:
        """The prompts from a place on."""
        rows = self._rows()
        index = start
        try:
            wanted = limited_rows(rows.skip(start) if start else rows, self.config.hub, start)
            for index, values in enumerate(wanted, start):
                yield read_prompt(
                    self.config, Row(values, f"{self.config.hub}, {self.config.split}, row {index}"), index
                )
        except (OSError, ValueError) as error:
            if isinstance(error, ConfigurationError):
                raise
            message = (
                f"row {index} of {self.config.hub} cannot be had ({_short(error)}); the same command goes on there"
            )
            raise ConfigurationError(message) from error

    def _rows(self) -> Any:
        with needs(f"reading {self.config.hub}", "tasks"):
            from datasets import load_dataset
        subset, revision = self.config.subset or None, self.config.revision or None
        try:
            return load_dataset(self.config.hub, subset, split=self.config.split, revision=revision, streaming=True)
        except Exception as error:
            message = (
                f"the data set {self.config.hub!r} cannot be had ({_short(error)}); check its name, subset and split"
            )
            raise ConfigurationError(message) from error


def read_prompt(config: PromptsConfig, row: Row, index: int) -> Prompt:
    """The prompt of a row.

    Raises:
        ConfigurationError: the row lacks a column, or its prompt is no text.
    """
    text = row.get(config.column)
    if text is not None and not isinstance(text, str):
        raise ConfigurationError(
            f"{row.where}: the column {config.column!r} holds a {type(text).__name__}, but a prompt is a text; "
            "name another with column in [prompts]"
        )
    language = row.get(config.language_column) if config.language_column else config.language
    return Prompt(index, text or "", str(language or "").lower(), row.where)


def _short(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"


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
            yield from parquet_rows(path, "synthesize")
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
