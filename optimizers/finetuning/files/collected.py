"""Collected: what each example got, one JSON line each, on disk as soon as it is there.

A later call makes only what is missing.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from contextvars import copy_context
from itertools import islice
from pathlib import Path
from typing import Any

from dspy_fusion.programs.banks.json_lines import JsonLines, whole_lines
from dspy_fusion.programs.calls.interrupts import given_up_when_interrupted
from dspy_fusion.programs.errors import ConfigurationError, RecordError
from dspy_fusion.programs.held_file import held
from dspy_fusion.programs.json_text import read_json
from dspy_fusion.programs.redaction import without_secrets, without_secrets_in

from .identities import differing

_BEGIN = b'{"about"'


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Keeps a folder, which is made where it is not there, to this process.

    Raises:
        ConfigurationError: another process works in it.
        RecordError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = held(folder / "lock", f"another process works in {folder}; wait for it, or choose another output folder")
    except OSError as error:
        raise RecordError(f"cannot write to {folder}: {error.strerror}") from error
    with file:
        yield


class Collected:
    """One file of results by key, whose first line says how they were made.

    A line torn by ``kill -9`` is cut off. Results are read back one at a time, so memory holds their places only.

    Args:
        path: the file; made with its folders where it is not there yet.
        about: what all results depend on; a file that says otherwise is refused, so that no two settings are mixed.

    Raises:
        ConfigurationError: the file was made with other settings; the message names them.
        RecordError: the file cannot be read or written.
    """

    def __init__(self, path: Path, about: Mapping[str, Any]) -> None:
        self.path = path
        self._places: dict[str, int] = {}
        self._lock = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _check_ours(path)
            self._file = JsonLines(path)
            self._open(without_secrets_in(json.loads(json.dumps(about))))
        except OSError as error:
            raise RecordError(f"cannot open {path}: {error.strerror}") from error

    def __contains__(self, key: str) -> bool:
        return key in self._places

    def __getitem__(self, key: str) -> Any:
        with self.path.open("rb") as file:
            file.seek(self._places[key])
            return read_json(file.readline())["value"]

    def __len__(self) -> int:
        return len(self._places)

    def fill(
        self,
        keys: Iterable[str],
        make: Callable[[str], Any],
        *,
        threads: int,
        failures: Failures,
        on_kept: Callable[[int], None],
    ) -> None:
        """Makes what is missing, ``threads`` results at a time; each is kept at once. What fails goes to ``failures``.

        After each, ``on_kept`` is told how many there are.

        Raises:
            RecordError: the file cannot be written; what was kept before is safe.
            FusionError: ``failures`` has had enough.
        """
        missing = (key for key in dict.fromkeys(keys) if key not in self)
        pending: dict[Future[None], str] = {}
        with ThreadPoolExecutor(threads) as pool, given_up_when_interrupted():
            while True:
                for key in islice(missing, threads - len(pending)):
                    pending[pool.submit(copy_context().run, self._make, key, make)] = key
                if not pending:
                    return
                for future in wait(pending, return_when=FIRST_COMPLETED).done:
                    _count(pending.pop(future), future, failures)
                    on_kept(len(self))

    def _make(self, key: str, make: Callable[[str], Any]) -> None:
        self.keep(key, make(key))  # here, so that what is under way is kept even when something else ends the whole

    def keep(self, key: str, value: Any) -> None:
        """Appends a result."""
        line = without_secrets(json.dumps({"key": key, "value": value}, ensure_ascii=False)).encode()
        try:
            with self._lock:
                self._places[key] = self._file.append(line)
        except OSError as error:
            raise RecordError(f"cannot write to {self.path}: {error.strerror}; what was kept before is safe") from error

    def _open(self, about: dict[str, Any]) -> None:
        if not self._read(about):
            self._file.append(json.dumps({"about": about}).encode())

    def _read(self, about: dict[str, Any]) -> bool:
        """Notes where the results lie; returns whether there is a first line, which says how they were made."""
        begun = False
        for begin, line in whole_lines(self.path) if self.path.exists() else ():
            told = _parsed(line, "key" if begun else "about", self.path)
            if begun:
                self._places[told] = begin
            else:
                _check_same(self.path, told, about)
            begun = True
        return begun


class Failures:
    """What failed, and how much of it is tolerated.

    Args:
        what: what was to be made, for the message.
        tolerated: how many may fail.
        error: raised for one more; the cause of the last one is in its message.
        option: by which more would be tolerated, for the message.
    """

    def __init__(self, what: str, tolerated: int, error: type[Exception], option: str = "") -> None:
        self.what, self.tolerated, self.error = what, tolerated, error
        self.said = f"{tolerated} are tolerated" + (f" ({option})" if option else "")
        self.keys: list[str] = []

    def add(self, key: str, error: Exception) -> None:
        """Counts a failure; raises where it is one too many."""
        self.keys.append(key)
        if len(self.keys) > self.tolerated:
            raise self.error(
                f"{len(self.keys)} {self.what} failed, {self.said}; the last:"
                f" {type(error).__name__}: {error}. What is finished is kept; the same call tries the others again"
            ) from error


def _count(key: str, future: Future[None], failures: Failures) -> None:
    error = future.exception()
    if isinstance(error, Exception) and not isinstance(error, RecordError | ConfigurationError):
        failures.add(key, error)
    elif error is not None:
        raise error


def _check_ours(path: Path) -> None:
    """Refuses a file that begins otherwise than ours do, before a torn line of it is cut off."""
    if not path.exists():
        return
    with path.open("rb") as file:
        begin = file.read(len(_BEGIN))
    if not _BEGIN.startswith(begin):
        raise RecordError(f"{path} is no file of a fine-tuning: it begins with {begin!r}; choose another output folder")


def _parsed(text: bytes, name: str, path: Path) -> Any:
    try:
        return read_json(text)[name]
    except (ValueError, KeyError, TypeError) as error:
        raise RecordError(
            f"{path} is damaged, or no file of a fine-tuning: {error}; choose another output folder"
        ) from error


def check_about(path: Path, about: Mapping[str, Any]) -> None:
    """Writes down what a folder is made with, or refuses another's: as :class:`Collected` does with its file."""
    wanted = without_secrets_in(json.loads(json.dumps(about)))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            _check_same(path.parent, _parsed(path.read_bytes(), "about", path), wanted)
        else:
            beside = path.with_suffix(".partial")
            beside.write_text(json.dumps({"about": wanted}, indent=2) + "\n")
            beside.rename(path)
    except OSError as error:
        raise RecordError(f"cannot write to {path.parent}: {error.strerror}") from error


def _check_same(path: Path, kept: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    if names := differing(kept, wanted):
        raise ConfigurationError(
            f"{path} was made with another {', '.join(names)}; go on with the same settings, or choose another"
            " output folder"
        )
