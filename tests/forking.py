"""Python programs as processes of their own, without loading anew what they import.

Run as a script, it is an interpreter that has loaded what commands load, and forks one for each program that it is
asked for. What is forked is as fresh as a started one but for those modules: its folder, environment, arguments and
output are its own, and it ends as an interpreter ends.
"""

from __future__ import annotations

import array
import gc
import importlib
import io
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
import types
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

COMMAND = ("-m", "dspy_fusion.experiments")
LOADED = (
    *(f"dspy_fusion.experiments.commands.{name}" for name in ("compare", "finetune", "synthesize", "tune")),
    "dspy_fusion.experiments.reports.evidence_plots",
    "dspy_fusion.experiments.reports.plots",
    "dspy_fusion.experiments.reports.sureness_plots",
    "dspy_fusion.experiments.tasks.worksheets",
    "matplotlib.backends.backend_agg",
    "matplotlib.backends.backend_svg",
    "matplotlib.figure",
    "optuna",
)
_OF_MLFLOW = ("mlflow", "mlflow.dspy", "mlflow.store.tracking.sqlalchemy_store", "mlflow.transformers")


def load(*modules: str) -> None:
    """Imports what will be forked, as far as it is installed."""
    gc.disable()
    for name in modules:
        with suppress(ImportError):
            importlib.import_module(name)
    gc.freeze()  # or each fork copies all of it when it looks for garbage
    gc.enable()


class Forked:
    """A process that was forked, as ``subprocess.Popen`` has it; what it says is read when it has ended."""

    def __init__(self, line: socket.socket, out: IO[bytes], err: IO[bytes]) -> None:
        self._line, self._out, self._err = line, out, err
        self.pid = self._number()
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        if self.returncode is None and select.select([self._line], [], [], 0)[0]:
            self.returncode = self._number()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None and not select.select([self._line], [], [], timeout)[0]:
            raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0.0)
        code = self.poll()
        assert code is not None
        return code

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """What it said, when it has ended."""
        self.wait(timeout)
        return self._said(self._out), self._said(self._err)

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _number(self) -> int:
        number = array.array("i")
        number.frombytes(self._line.recv(4, socket.MSG_WAITALL))
        return number[0]

    def _said(self, file: IO[bytes]) -> str:
        file.seek(0)
        return io.TextIOWrapper(io.BytesIO(file.read()), encoding="utf-8").read()


class Forker:
    """Starts Python programs; one that is still there when a block of ``forker()`` ends is killed."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._started: list[Forked] = []

    def start(self, *words: str, cwd: Path | str = ".", env: Mapping[str, str] | None = None) -> Forked:
        """Starts what ``python WORDS`` does, of which ``-m``, ``-c`` and a script are known.

        Args:
            words: the arguments of the interpreter.
            cwd: its folder.
            env: its environment; by default that of this process.
        """
        out, err = tempfile.TemporaryFile(), tempfile.TemporaryFile()
        here, there = socket.socketpair()
        request = json.dumps([str(Path(cwd).resolve()), dict(os.environ if env is None else env), words]).encode()
        with there, tempfile.TemporaryFile() as file:
            file.write(request)
            file.flush()
            fds = [there.fileno(), file.fileno(), out.fileno(), err.fileno()]
            socket.send_fds(self._control, [b"."], fds)
            self._started.append(Forked(here, out, err))
        return self._started[-1]

    def run(
        self,
        *words: str,
        cwd: Path | str = ".",
        env: Mapping[str, str] | None = None,
        check: bool = False,
        timeout: float = 300,
    ) -> subprocess.CompletedProcess[str]:
        """Runs what ``python WORDS`` does to its end, as ``subprocess.run``."""
        process = self.start(*words, cwd=cwd, env=env)
        try:
            said, errors = process.communicate(timeout)
        finally:
            process.kill()
        done = subprocess.CompletedProcess([sys.executable, *words], process.wait(), said, errors)
        assert not check or done.returncode == 0, errors
        return done

    def close(self) -> None:
        for process in self._started:
            process.kill()


@contextmanager
def forker(*modules: str) -> Iterator[Forker]:
    """A forker for the length of the block, which has also loaded the modules."""
    here, there = socket.socketpair()
    with here:
        with there:
            words = [sys.executable, __file__, str(there.fileno()), *modules]
            process = subprocess.Popen(words, stdin=subprocess.DEVNULL, pass_fds=[there.fileno()])
        made = Forker(here)
        try:
            yield made
        finally:
            made.close()
    process.wait()  # nothing more can be asked of it


def _serve(control: socket.socket) -> None:
    running: dict[int, socket.socket] = {}
    while True:
        if select.select([control], [], [], 0.01 if running else None)[0]:
            _, fds, _, _ = socket.recv_fds(control, 1, 4)
            if not fds:
                return
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # numpy's threads are at rest
                child = os.fork()
            if not child:
                control.close()
                for line in running.values():
                    line.close()
                _become(*fds)
                return
            running[child] = socket.socket(fileno=fds[0])
            for fd in fds[1:]:
                os.close(fd)
            _tell(running[child], child)
        while running and (ended := os.waitpid(-1, os.WNOHANG))[0]:
            with running.pop(ended[0]) as line:
                _tell(line, os.waitstatus_to_exitcode(ended[1]))


def _tell(line: socket.socket, number: int) -> None:
    with suppress(OSError):  # nobody waits for it any more
        line.sendall(array.array("i", [number]).tobytes())


def _become(line: int, request: int, out: int, err: int) -> None:
    """Makes this process one that ``python WORDS`` starts, and runs it."""
    with open(request, "rb") as file:
        file.seek(0)
        folder, environment, words = json.load(file)
    os.dup2(out, 1)
    os.dup2(err, 2)
    for fd in (line, out, err):
        os.close(fd)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    more = [path for path in environment.get("PYTHONPATH", "").split(os.pathsep) if path and path not in sys.path]
    kind, *rest = words
    if kind == "-m":
        sys.argv, sys.path[:1] = rest, [folder, *more]
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    elif kind == "-c":
        sys.argv, sys.path[:1] = ["-c", *rest[1:]], ["", *more]
        main = sys.modules["__main__"] = types.ModuleType("__main__")
        exec(compile(rest[0], "<string>", "exec"), main.__dict__)
    else:
        sys.argv, sys.path[:1] = words, [str(Path(kind).parent), *more]
        runpy.run_path(kind, run_name="__main__")


def _make_a_database() -> None:
    """So that those that are forked know the tables of MLflow's database."""
    from dspy_fusion.experiments.runs.tracking import connect

    with tempfile.TemporaryDirectory() as folder:
        connect(f"sqlite:///{folder}/mlflow.db")


if __name__ == "__main__":
    load(*LOADED, *_OF_MLFLOW, *sys.argv[2:])
    with suppress(ImportError):
        _make_a_database()
    _serve(socket.socket(fileno=int(sys.argv[1])))
