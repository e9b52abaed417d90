"""Commands that are killed.

Run as a script, it is an interpreter that has loaded them and forks one for each line that it reads.

What is forked runs the command's own ``main`` in a process group of its own; loading it anew each time would take
longer than the run, and most kills would meet nothing but imports.
"""

from __future__ import annotations

import importlib
import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .answering_server import AnsweringServer  # a script has no package

LIMIT_SECONDS = 240
SHELL = "sh"


class Command:
    """A running command, and what became of it."""

    def __init__(self, forker: subprocess.Popen[str], log: Path) -> None:
        self._forker, self.log = forker, log
        self.pid = int(self._line())
        self.code: int | None = None

    def poll(self) -> int | None:
        """The exit code of the command's first process, negative for a signal; None while it runs."""
        if self.code is None:
            try:
                os.kill(self.pid, 0)
            except ProcessLookupError:
                return self.wait()
        return self.code

    def wait(self) -> int:
        if self.code is None:
            self.code = int(self._line())
        return self.code

    def kill(self, *, whole_group: bool = True) -> bool:
        """Kills it with all of its processes, or its first one alone; tells whether that still met the first one."""
        with_pids = os.killpg if whole_group else os.kill
        try:
            with_pids(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            return False
        return self.wait() == -signal.SIGKILL

    def _line(self) -> str:
        assert self._forker.stdout is not None
        return self._forker.stdout.readline()


class Forker:
    """Starts commands, one at a time."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._running: list[Command] = []

    def start(self, folder: Path, *words: str, largest_file: int = 0) -> Command:
        """Starts a command in a folder; what it says goes to ``said.txt`` there.

        ``largest_file`` is in bytes; 0 for any size.
        """
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([str(folder), largest_file, *words]) + "\n")
        self._process.stdin.flush()
        self._running.append(Command(self._process, folder / "said.txt"))
        return self._running[-1]

    def finish(self, folder: Path, *words: str, code: int = 0, largest_file: int = 0) -> str:
        """Runs a command to its end, which must have the code, and returns what it said."""
        command = self.start(folder, *words, largest_file=largest_file)
        end = time.monotonic() + LIMIT_SECONDS
        while command.poll() is None and time.monotonic() < end:
            time.sleep(0.01)
        if command.poll() is None:
            command.kill()
        said = command.log.read_text()
        assert command.code == code, said[-3000:]
        return said

    def shell(self, folder: Path, line: str) -> None:
        """Runs a line of the shell where the commands run; there alone ``mount`` has an effect."""
        self.finish(folder, SHELL, line)

    def close(self) -> None:
        for command in self._running:
            with suppress(ProcessLookupError):
                os.killpg(command.pid, signal.SIGKILL)  # also what a killed command has left behind
        self._process.kill()
        self._process.communicate()


@contextmanager
def forker(*before: str) -> Iterator[Forker]:
    """A forker for the length of the block; nothing that it started outlives it.

    ``before`` are words such as ``unshare -rm``.
    """
    process = subprocess.Popen(
        [*before, sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    made = Forker(process)
    try:
        yield made
    finally:
        made.close()


@dataclass
class Kills:
    """The kills of one run, and what they cost.

    Attributes:
        server: that the run asks.
        calls: how many calls an undisturbed run makes.
        written: the marks of the answers that the run has written down by now.
        met: how many kills met a running command.
        redrawn: marks of answers that were written down and asked for again all the same.
    """

    server: AnsweringServer
    calls: int
    written: Callable[[], set[str]]
    met: int = 0
    redrawn: set[str] = field(default_factory=set)
    _seen: set[str] = field(default_factory=set)
    _at: int = 0

    def kill(self, command: Command, share: float, jitter: float, *, whole_group: bool = True) -> None:
        """Kills a command up to ``jitter`` seconds after a share of the undisturbed run's calls was made."""
        while len(set(self.server.asked)) < min(share, 1) * self.calls and command.poll() is None:
            time.sleep(0.001)
        end = time.monotonic() + jitter
        while time.monotonic() < end and command.poll() is None:
            time.sleep(0.001)
        self.met += command.kill(whole_group=whole_group)
        if whole_group:
            self.look()

    def look(self) -> None:
        """Notes what was asked for again since the last look; nothing may be at work at the moment."""
        self.redrawn |= self._seen & set(self.server.asked[self._at :])
        self._seen, self._at = self.written(), len(self.server.asked)


def moments(rng: random.Random, kills: int) -> list[tuple[float, float]]:
    """Shares of a run's calls after which it is to be killed, in order, and how many seconds later.

    Those below 0 meet its beginning, and those beyond 1 what it does when all calls are made.
    """
    shares = sorted(rng.uniform(-0.05, 1.1) for _ in range(kills))
    return [(share, rng.uniform(0, 0.05 if 0 < share < 1 else 1.0)) for share in shares]


def _serve_forks() -> None:
    from dspy_fusion.experiments.__main__ import main

    for name in ("compare", "synthesize", "tune"):
        importlib.import_module(f"dspy_fusion.experiments.commands.{name}")
    while line := sys.stdin.readline():
        folder, largest_file, *words = json.loads(line)
        child = os.fork()
        if not child:
            os.setpgid(0, 0)
            os.chdir(folder)
            said = os.open("said.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(said, 1)
            os.dup2(said, 2)
            if largest_file:
                resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))
            sys.exit(subprocess.run(words[1], shell=True, check=False).returncode if words[0] == SHELL else main(words))
        with suppress(OSError):
            os.setpgid(child, child)  # on both sides, so that it is done whoever is first
        _say(child)
        _, status = os.waitpid(child, 0)
        _say(os.waitstatus_to_exitcode(status))


def _say(number: int) -> None:
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    _serve_forks()
