"""Where a task's rows come from: a local folder where one is named, else a pinned revision on the Hugging Face hub.

Rows keep the place they stood at, so that whatever is wrong with one can be said with its file and line.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

from dspy_fusion.programs.errors import ConfigurationError

from .row_files import SUFFIXES, Row, read_file
from .row_limits import limited_rows

DATA_VARIABLE = "DSPY_FUSION_DATA"
_NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True)
class Source:
    """Where a data set is published, on what terms, and what its files are called in a local folder."""

    licence: str
    """The licence of the data, as their publisher states it."""
    url: str
    """Where it is described."""
    citation: str
    """Paper that introduced it, as an arXiv number where it has one."""
    hub: str = ""
    """Name on the Hugging Face hub; empty where the data are not there."""
    config: str = ""
    """Configuration on the hub; ``{language}`` stands for the language."""
    revision: str | None = None
    """Commit on the hub that is read; None where none was verified, which reads the newest."""
    splits: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    """From a split's name here to its name on the hub."""
    hub_files: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    """From a split's name to its JSON file on the hub, where the data set there is a script or a heap of files."""
    files: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: _NOTHING)
    """From a split's name to its file in a local folder without the suffix, as in ``gsm8k/test``,
    and other places where it may lie.

    ``{language}`` stands for the language, ``{local}`` for what ``local_languages`` calls it.
    """
    sizes: Mapping[str, int] = field(default_factory=lambda: _NOTHING)
    """Rows of a split on the hub, all languages together, where known."""
    languages: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    """From a language's code to its name in English; empty where there is one language only."""
    local_languages: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    """From a language's code to what files call it, where that is another name."""

    @property
    def is_split_by_language(self) -> bool:
        """Whether each language has its own file."""
        return any("{" in stem for stems in self.files.values() for stem in stems)

    def local_names(self, split: str, language: str = "") -> tuple[str, ...]:
        """The names under which a split's file is looked for in a local folder, most wanted first."""
        local = self.local_languages.get(language, language)
        stems = [stem.format(language=language, local=local) for stem in self.files[split]]
        return tuple(stem + suffix for stem in stems for suffix in SUFFIXES)

    def local_file(self, split: str, data: Path, language: str = "") -> Path | None:
        """The split's file in a local folder; None where it is not there."""
        return next((data / name for name in self.local_names(split, language) if (data / name).is_file()), None)


def data_folder(data: str | Path | None) -> Path | None:
    """The local folder to read from: the given one, else that of ``DSPY_FUSION_DATA``, else None, which means the hub.

    Raises:
        ConfigurationError: it is no folder.
    """
    named = str(data) if data else os.environ.get(DATA_VARIABLE, "")
    if not named:
        return None
    folder = Path(named).expanduser()
    if not folder.is_dir():
        origin = "data" if data else DATA_VARIABLE
        raise ConfigurationError(
            f"{origin} names {named!r}, which is no folder; name one that holds the task's files, or none for the hub"
        )
    return folder


def read_rows(source: Source, split: str, *, data: str | Path | None = None, language: str = "") -> list[Row]:
    """All rows of a split, of one language where each language has its own file.

    Args:
        source: the data set.
        split: one of its splits.
        data: local folder; None takes that of ``DSPY_FUSION_DATA``, else the hub.
        language: one of the source's languages.

    Raises:
        ConfigurationError: there is no such split or language, or the rows cannot be had, are broken, or are none.
    """
    if split not in source.files:
        raise ConfigurationError(f"there is no split {split!r}; there are: {', '.join(source.files)}")
    if language and language not in source.languages:
        raise ConfigurationError(f"there is no language {language!r}; there are: {', '.join(source.languages)}")
    folder = data_folder(data)
    rows = _hub_rows(source, split, language) if folder is None else _local_rows(source, split, folder, language)
    if not rows:
        raise ConfigurationError(
            f"the split {split!r} in {_place(source, split, folder, language)} is empty; take another split"
        )
    return rows


def _local_rows(source: Source, split: str, data: Path, language: str) -> list[Row]:
    file = source.local_file(split, data, language)
    if file is None:
        raise ConfigurationError(
            f"{data} holds no {source.local_names(split, language)[0]} (nor under another suffix); {_ways(source)}"
        )
    return list(read_file(file))


def _hub_rows(source: Source, split: str, language: str) -> list[Row]:
    where = _place(source, split, None, language)
    return [
        Row(dict(values), f"{where}, row {number}") for number, values in enumerate(_loaded(source, split, language))
    ]


def _place(source: Source, split: str, data: Path | None, language: str) -> str:
    if data is not None:
        return str(source.local_file(split, data, language))
    return ", ".join(
        filter(None, (source.hub, source.config.format(language=language), source.splits.get(split, split)))
    )


def _ways(source: Source) -> str:
    local = f"name the folder that holds it with data=... or {DATA_VARIABLE}"
    if not source.hub:
        return f"{local}; it is not on the hub, but at {source.url}"
    return f"{local}, or name none, pip install 'dspy-fusion[tasks]' and be online to have {source.hub} from the hub"


def _loaded(source: Source, split: str, language: str) -> Iterator[Mapping[str, Any]]:
    """The rows as the hub's own library gives them, whose errors are of many kinds but all mean that the rows cannot be
    had.
    """
    if not source.hub:
        raise ConfigurationError(f"{source.local_names(split, language)[0]} is needed: {_ways(source)}")
    try:
        from datasets import load_dataset
    except ImportError as error:
        raise ConfigurationError(f"the rows of {source.hub} are not here: {_ways(source)}") from error
    config = source.config.format(language=language) or None
    try:
        if file := source.hub_files.get(split):
            where = f"hf://datasets/{source.hub}@{source.revision or 'main'}/{file}"
            loaded = load_dataset("json", data_files=where, split=source.splits[split])
        else:
            loaded = load_dataset(source.hub, config, split=source.splits[split], revision=source.revision)
        rows = limited_rows(cast("Any", loaded), source.hub)
        first = next(rows, None)
    except ConfigurationError:
        raise
    except Exception as error:
        raise ConfigurationError(
            f"the rows of {source.hub} cannot be had from the hub ({_short(error)}): {_ways(source)}"
        ) from error
    return iter(()) if first is None else chain([first], rows)


def _short(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"
