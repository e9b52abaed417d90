"""Running a candidate's code in a process of its own, with an end to its time, its memory and its files."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import ConfigurationError

_RUNNER = Path(__file__).with_name("code_runner.py")
_FENCED = re.compile(
    r"^[ \t]*(?:```|~~~)[ \t]*([\w+-]*)[^\n]*\n(.*?)(?:^[ \t]*(?:```|~~~)|\Z)", re.MULTILINE | re.DOTALL
)
_LOOK_SECONDS = 0.1
_ALL_TESTS = 3


@dataclass(frozen=True)
class CodeLimits:
    """How far a candidate's code may go.

    Attributes:
        seconds: of wall time and of processor time for each test; all tests of a candidate together get three times
            as much.
        memory_bytes: of address space for each process.
        file_bytes: for each file, and for all that stands in its folder.
        processes: that may run at once (of the user, where the system counts so).
    """

    seconds: float = 5.0
    memory_bytes: int = 1 << 30
    file_bytes: int = 16 << 20
    processes: int = 64

    def __post_init__(self) -> None:
        """Checks that every limit is a positive number."""
        for name, value in vars(self).items():
            if not value > 0:
                raise ConfigurationError(f"{name} must be a positive number, but got {name}={value!r}")


class _Runs:
    """Runs that are remembered, each of which one thread makes while those that want the same wait for it."""

    def __init__(self) -> None:
        self.blocks = 0  # in which they are remembered
        self._guard = threading.Lock()
        self._known: dict[Any, tuple[threading.Lock, list[str | None]]] = {}

    def once(self, job: Hashable, run: Callable[[], list[str | None]]) -> list[str | None]:
        """The outcomes of a job, run for whoever wants it first."""
        with self._guard:
            lock, outcomes = self._known.setdefault(job, (threading.Lock(), []))
        with lock:
            if not outcomes:
                outcomes.extend(run())
        return list(outcomes)


_guard = threading.Lock()
_runs: _Runs | None = None


@contextlib.contextmanager
def runs_remembered() -> Iterator[None]:
    """Inside, in all threads, the same code is run against the same tests once; blocks that overlap share their runs.

    For measurements that see one candidate many times, which so is never right in one row of a table and too slow in
    the next.
    """
    global _runs
    with _guard:
        runs = _runs = _runs or _Runs()
        runs.blocks += 1
    try:
        yield
    finally:
        with _guard:
            runs.blocks -= 1
            _runs = runs if runs.blocks else None


def run_tests(code: str, tests: Sequence[str], limits: CodeLimits) -> list[str | None]:
    """Runs code and then each test in turn, in a fresh process with an empty folder and no environment.

    Args:
        code: Python that the tests call.
        tests: Python that raises where the code is wrong, such as ``assert add(1, 2) == 3``.
        limits: how far the code may go.

    Returns:
        None for each test that was passed, else why it was not.

    Raises:
        ConfigurationError: the system has no processes of this kind (Windows).
    """
    if os.name != "posix":
        raise ConfigurationError("code can be tested on Linux and macOS only; this system has no limits for processes")
    runs = _runs
    if runs is None:
        return _run(code, tests, limits)
    return runs.once((code, tuple(tests), limits), lambda: _run(code, tests, limits))


def _run(code: str, tests: Sequence[str], limits: CodeLimits) -> list[str | None]:
    job = {"code": code, "tests": list(tests), **vars(limits)}
    with tempfile.TemporaryDirectory(prefix="candidate-", ignore_cleanup_errors=True) as folder:
        process = subprocess.Popen(
            [sys.executable, "-I", str(_RUNNER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=folder,
            env={"PATH": os.defpath, "HOME": folder, "TMPDIR": folder, "PYTHONDONTWRITEBYTECODE": "1"},
            start_new_session=True,
        )
        watch = _Watch(process, Path(folder), limits)
        try:
            said, _ = process.communicate(json.dumps(job).encode())
        finally:
            watch.end()
    return _read(said, len(tests), watch.cause or f"the process ended with {process.returncode}")


def extract_code(text: str) -> str:
    """The Python in an answer: its fenced blocks of Python (else its fenced blocks, else the whole of it)."""
    blocks = [(language.lower(), body) for language, body in _FENCED.findall(text)]
    python = [body for language, body in blocks if language in ("python", "py", "python3")]
    chosen = python or [body for language, body in blocks if not language]
    return "\n\n".join(body.rstrip() for body in chosen) if chosen else text


class _Watch:
    """Ends the process and all it started when its time is over or its folder is full."""

    def __init__(self, process: subprocess.Popen[bytes], folder: Path, limits: CodeLimits) -> None:
        self.cause = ""
        self._process, self._folder, self._limits = process, folder, limits
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Stops watching; whatever the code left running is ended."""
        self._done.set()
        self._thread.join()
        self._kill()
        self._process.wait()

    def _look(self) -> None:
        seconds = _ALL_TESTS * self._limits.seconds
        end = time.monotonic() + seconds
        while not self._done.wait(_LOOK_SECONDS):
            if time.monotonic() > end:
                self.cause = f"all tests together took longer than {seconds:g} seconds"
            elif _size(self._folder) > self._limits.file_bytes:
                self.cause = f"it wrote more than {self._limits.file_bytes} bytes"
            if self.cause:
                return self._kill()
        return None

    def _kill(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)


def _size(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):
            total += path.lstat().st_size
    return total


def _read(said: bytes, count: int, otherwise: str) -> list[str | None]:
    with contextlib.suppress(ValueError):
        outcomes = json.loads(said)
        if isinstance(outcomes, list) and len(outcomes) == count:
            return [None if outcome is None else str(outcome) for outcome in outcomes]
    return [otherwise] * count
