"""From rows to a task's examples.

Read once, checked, rows without a readable right answer set aside, and groups taken in turn.

Taking groups in turn makes the first n examples cover all languages or subjects evenly, whatever n is.
"""

from __future__ import annotations

import hashlib
import json
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, zip_longest
from typing import Any

import dspy

from dspy_fusion.programs.errors import ConfigurationError
from dspy_fusion.programs.extras import require
from dspy_fusion.programs.redaction import redacting

from ..rows.row_files import Row
from ..rows.sources import Source, data_folder, read_rows
from .task import SetAside, Setup, Task

_SET_ASIDE_LISTED = 20
_log = redacting(logging.getLogger(__name__))


class UnreadableAnswer(Exception):
    """Raised by a task's ``make`` for a row whose right answer cannot be read; the loader sets the row aside."""


class Loader:
    """The examples of a task, as ``Task.examples`` wants them: ``loader(split, n)``.

    Args:
        source: where the rows come from.
        setup: what the user chose.
        make: ``(row, language, number)`` to an example with a field ``id``; number counts the rows of a file from 0. It
            raises :class:`UnreadableAnswer` where the right answer cannot be read, and returns None for a row that is
            none of the task's.
        group: what an example belongs to.
        packages: what the metric needs beyond the package's own requirements, checked before any model is called.
    """

    def __init__(
        self,
        source: Source,
        setup: Setup,
        make: Callable[[Row, str, int], dspy.Example | None],
        *,
        group: Callable[[dspy.Example], str] = lambda example: "",
        packages: Sequence[str] = (),
    ) -> None:
        self.source = source
        self.setup = setup
        self.make = make
        self.group = group
        self.packages = tuple(packages)
        self._lock = threading.Lock()
        self._read: dict[str, tuple[list[dspy.Example], tuple[SetAside, ...]]] = {}

    def __call__(self, split: str, n: int) -> list[dspy.Example]:
        """The first n examples of a split; all, where it has fewer.

        Raises:
            ConfigurationError: the rows cannot be had, lack a column, or two have the same id, or a package is missing.
        """
        examples, _ = self._split(split)
        if n > len(examples):
            _log.warning(
                "%s has %d examples in split %r, fewer than the %d asked for", self.source.url, len(examples), split, n
            )
        return examples[:n]

    def set_aside(self, split: str) -> tuple[SetAside, ...]:
        """The rows of a split whose right answer cannot be read."""
        return self._split(split)[1]

    def _split(self, split: str) -> tuple[list[dspy.Example], tuple[SetAside, ...]]:
        with self._lock:
            if split not in self._read:
                for package in self.packages:
                    require("the task's metric", "tasks", package)
                self._read[split] = self._load(split)
            return self._read[split]

    def _load(self, split: str) -> tuple[list[dspy.Example], tuple[SetAside, ...]]:
        groups: dict[str, list[dspy.Example]] = {}
        places: dict[str, str] = {}
        aside: list[SetAside] = []
        for row, language, number in self._rows(split):
            try:
                example = self.make(row, language, number)
            except UnreadableAnswer as error:
                aside.append(SetAside(row.where, str(error)))
                continue
            if example is None:
                continue
            if example.id in places:
                raise ConfigurationError(
                    f"two rows have the id {example.id!r}: {places[example.id]}, and {row.where}; remove one"
                )
            places[example.id] = row.where
            groups.setdefault(self.group(example), []).append(example)
        if aside:
            _log.warning("%d rows set aside, the first: %s (%s)", len(aside), aside[0].where, aside[0].why)
        if not groups:
            why = f"{aside[0].where}: {aside[0].why}" if aside else "there are no rows in the languages asked for"
            raise ConfigurationError(f"no example of split {split!r} can be used; {why}")
        return [example for turn in zip_longest(*groups.values()) for example in turn if example is not None], tuple(
            aside
        )

    def _rows(self, split: str) -> Iterator[tuple[Row, str, int]]:
        return chain.from_iterable(
            (
                (row, language, number)
                for number, row in enumerate(read_rows(self.source, split, data=self.setup.data, language=language))
            )
            for language in self._languages(split)
        )

    def _languages(self, split: str) -> tuple[str, ...]:
        """Which files to read; where no language was chosen, a local folder need not have them all."""
        if not self.source.is_split_by_language:
            return ("",)
        folder = data_folder(self.setup.data)
        languages = self.setup.languages or tuple(self.source.languages)
        if self.setup.languages or folder is None or split not in self.source.files:
            return languages
        available = tuple(language for language in languages if self.source.local_file(split, folder, language))
        if 0 < len(available) < len(languages):
            _log.warning(
                "%s holds %d of %d languages: %s", folder, len(available), len(languages), ", ".join(available)
            )
        return available or languages


def examples_digest(examples: Sequence[dspy.Example]) -> str:
    """The first 12 hexadecimal digits of the hash of what the examples hold, to tell runs on other data apart."""
    content = json.dumps([example.toDict() for example in examples], sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(content.encode()).hexdigest()[:12]


def examples_about(task: Task, split: str, examples: Sequence[dspy.Example]) -> dict[str, Any]:
    """What a run keeps of its examples: their digest, how many there are, and which rows were set aside."""
    aside = task.set_aside(split)
    listed = [f"{row.where}: {row.why}" for row in aside[:_SET_ASIDE_LISTED]]
    return {
        "digest": examples_digest(examples),
        "count": len(examples),
        "set_aside": len(aside),
        "set_aside_first": listed,
    }
