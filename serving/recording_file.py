"""The file in which a model's answers to requests are kept: JSON lines that one process at a time adds to."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from dspy_fusion.programs.banks.json_lines import cut_torn_line
from dspy_fusion.programs.banks.shared_bank import DrawnOnce
from dspy_fusion.programs.errors import ConfigurationError
from dspy_fusion.programs.held_file import held

_held: dict[Path, IO[str]] = {}  # the files that this process adds to
_holding = threading.Lock()


class NotRecorded(ConfigurationError):
    """A recording does not hold the answer to a request, and there is no model that could be asked."""


class RequestRecording:
    """What models answered, by request. Any number of threads may read and add, of one process at a time.

    Args:
        path: of a JSON lines file, which is made with the first answer; one that ends in ``.gz`` is read only.

    Raises:
        ConfigurationError: the file cannot be read, or a line of it is damaged (the last one may be: it was being
            written when its writer was killed).
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._lock, self._drawn = threading.Lock(), DrawnOnce()
        self._answers: dict[str, dict[str, Any]] = {}
        self.missing: list[str] = []
        """What was asked for, is not recorded, and nobody could be asked: programs take that for a failed candidate."""
        if self.path.is_file():
            self._read()

    def __len__(self) -> int:
        return len(self._answers)

    def answer(self, key: str, *, logprobs: bool) -> dict[str, Any] | None:
        """The answer of a request, or None; one without log-probabilities is none where they are asked for."""
        kept = self._answers.get(key)
        return None if kept is None or (logprobs and "logprobs" not in kept) else kept

    @contextmanager
    def turn(self, key: str) -> Iterator[None]:
        """A block that one thread at a time is in for a request: the others wait, and then find its answer."""
        with self._drawn.turn(key):
            yield

    def check_complete(self) -> None:
        """Raises ``NotRecorded`` where answers were missing: what was measured on it then is not what was recorded."""
        if self.missing:
            raise NotRecorded(
                f"{self.path} lacks {len(self.missing)} answers that were asked for, the first to a request that ends"
                f" with {self.missing[0][-80:]!r}; prompts or settings are no longer those of the recording"
            )

    def hold(self) -> None:
        """Keeps other processes from adding to the file until this one ends, and cuts off what a killed one left torn.

        Two that add to one recording draw other answers to the same request, and what either asks about its own answers
        then fits neither.

        Raises:
            ConfigurationError: another process is adding to it.
        """
        path = self.path.resolve()
        with _holding:
            if path in _held:
                return
            path.parent.mkdir(parents=True, exist_ok=True)
            _held[path] = held(
                path,
                f"another process is adding to the recording {self.path}; wait for it, or record into another file",
            )
            cut_torn_line(path)
        self._read()  # what another process added since this one looked

    def add(self, key: str, answer: dict[str, Any]) -> None:
        """Keeps an answer, on disk before this returns."""
        line = json.dumps({"key": key, **answer}, ensure_ascii=False) + "\n"
        with self._lock:
            self._answers[key] = answer
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as file:
                file.write(line)

    def export(self, path: Path, *, only: frozenset[str] | None = None) -> int:
        """Writes the answers (of these keys, or all) to a ``.gz`` file, each once and in the order of keys.

        Returns:
            how many there are.
        """
        rows = [(key, self._answers[key]) for key in sorted(self._answers) if only is None or key in only]
        text = "".join(json.dumps({"key": key, **row}, ensure_ascii=False) + "\n" for key, row in rows)
        path.write_bytes(gzip.compress(text.encode(), 9, mtime=0))
        return len(rows)

    def _read(self) -> None:
        try:
            data = self.path.read_bytes()
            lines = (gzip.decompress(data) if self.path.suffix == ".gz" else data).split(b"\n")
        except (OSError, EOFError, ValueError) as error:
            raise ConfigurationError(f"cannot read the recording {self.path}: {error}") from error
        for number, line in enumerate(lines[:-1], 1):  # what follows the last is being written, or torn
            try:
                row = json.loads(line)
                self._answers[row.pop("key")] = row
            except (ValueError, KeyError, AttributeError) as error:
                raise ConfigurationError(f"{self.path}: line {number} is no recorded answer: {error}") from error
