"""llama.cpp's server on loopback: one a file and its options in this process, started when it is first asked.

It ends with its owner, is started again once when it dies, and is not shared with other processes: those map the same
file, so its weights are in memory once all the same.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import urllib.request
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dspy_fusion.programs.errors import ConfigurationError, FusionError
from dspy_fusion.programs.extras import require

from .gguf_file import GgufFile, read_gguf

_SCRATCH = 300_000_000  # bytes that llama.cpp takes beside weights and cache


class LocalServerDied(FusionError):
    """The server of a local model ended, was started again, and ended again."""


@dataclass(frozen=True)
class LlamaOptions:
    """How a file is run.

    Attributes:
        model: path of the GGUF file.
        context: tokens that one answer's prompt and text may take together.
        parallel: how many answers are written at once; each has a context of its own.
        threads: cores that work on them.
        gpu_layers: layers that a GPU takes over; -1 for all, 0 for none.
        lora: LoRA adapters as GGUF files, each with its scale.
        chat_template: a Jinja template instead of the file's own.
        port: of the server on 127.0.0.1; 0 takes a free one.
    """

    model: str
    context: int = 4096
    parallel: int = 4
    threads: int = 0
    gpu_layers: int = -1
    lora: tuple[tuple[str, float], ...] = ()
    chat_template: str = ""
    port: int = 0

    def __post_init__(self) -> None:
        """Checks the numbers."""
        for name in ("context", "parallel"):
            if (value := getattr(self, name)) < 1:
                raise ConfigurationError(f"{name} must be a whole number from 1, but got {name}={value!r}")
        if self.threads < 0 or not 0 <= self.port < 65536:
            raise ConfigurationError(f"threads and port must not be negative, but got {self.threads} and {self.port}")

    def check(self) -> GgufFile:
        """Reads the file's header and refuses what cannot work, before anything is loaded.

        Raises:
            ConfigurationError: the file is no model, the context is longer than the model's, there is no chat template,
                or the memory does not suffice.
        """
        file = read_gguf(Path(self.model))
        if file.context is not None and self.context > file.context:
            raise ConfigurationError(
                f"context={self.context} is longer than the {file.context} tokens that {file.path.name} was trained on;"
                f" give at most {file.context}"
            )
        if not (file.chat_template or self.chat_template):
            raise ConfigurationError(f"{file.path.name} has no chat template; give one as chat_template=")
        for path, _ in self.lora:
            if not Path(path).is_file():
                raise ConfigurationError(f"there is no LoRA adapter {path}; give the path of a GGUF file")
        needed, free = file.memory(self.context * self.parallel) + _SCRATCH, _free_memory()
        if free is not None and needed > free:
            raise ConfigurationError(
                f"{file.path.name} needs about {needed / 1e9:.1f} GB of memory with context={self.context} and "
                f"parallel={self.parallel}, but {free / 1e9:.1f} GB are free; lower them, or take a smaller file"
            )
        return file


def end_process(process: subprocess.Popen[Any], *, seconds: float) -> None:
    """Ends a server that lives as long as its standard input is open; kills it where it takes longer than this."""
    if process.stdin is not None:
        with contextlib.suppress(OSError):
            process.stdin.close()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class LlamaServer:
    """A server in a process of its own."""

    def __init__(self, options: LlamaOptions) -> None:
        self.options = options
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._address, self._has_answered = "", False
        self._log: Any = None

    @property
    def is_alive(self) -> bool:
        """Whether its process runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def process_id(self) -> int | None:
        """Of the process, or None before it was started."""
        return None if self._process is None else self._process.pid

    def address(self) -> str:
        """Where it answers; it is started where it does not run.

        Raises:
            ConfigurationError: it cannot be started, or xllamacpp is not installed.
            LocalServerDied: it was started again already, and ended before it gave one answer.
        """
        with self._lock:
            if self.is_alive:
                return self._address
            if self._process is not None:
                if not self._has_answered:
                    raise LocalServerDied(
                        f"{self._name}: llama.cpp ended with code {self._process.poll()} {self._said()}"
                    )
                self._has_answered = False
            self._start()
            return self._address

    def answered(self) -> None:
        """Notes that it works; after that it may be started again."""
        self._has_answered = True

    def count_tokens(self, text: str) -> int:
        """How many tokens the model's tokenizer makes of a text."""
        request = urllib.request.Request(
            f"{self.address()}/tokenize", json.dumps({"content": text}).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as reply:
            return len(json.load(reply)["tokens"])

    def close(self) -> None:
        """Ends the process, also one that is not ready yet; the server starts again when it is asked."""
        self._end()  # whoever waits for it to be ready has the lock
        with self._lock:
            self._end()
            self._process, self._has_answered = None, False

    def _end(self) -> None:
        if (process := self._process) is not None:
            end_process(process, seconds=5)

    @property
    def _name(self) -> str:
        return Path(self.options.model).name

    def _start(self) -> None:
        require("a local model", "local", "xllamacpp")
        self.options.check()
        self._log = tempfile.TemporaryFile("w+", errors="replace")
        self._process = subprocess.Popen(
            [sys.executable, "-m", f"{__package__}.llama_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            process_group=0,  # so that Ctrl-C reaches it through its owner alone
        )
        assert self._process.stdin is not None  # noqa: S101 (it is a pipe)
        assert self._process.stdout is not None  # noqa: S101 (it is a pipe)
        threads = self.options.threads or os.cpu_count() or 1
        with contextlib.suppress(OSError, ValueError):  # it has ended or was closed, as its silence tells
            self._process.stdin.write(json.dumps({**asdict(self.options), "threads": threads}) + "\n")
            self._process.stdin.flush()
        line = self._process.stdout.readline()
        reply = json.loads(line) if line.strip() else {"error": f"it ended {self._said()}"}
        if "error" in reply:
            self._process.wait()
            self._process = None
            raise ConfigurationError(f"llama.cpp cannot run {self._name}: {reply['error']} {self._said()}".strip())
        self._address = reply["address"]

    def _said(self) -> str:
        """The last complaint in its log, in brackets."""
        if self._log is None:
            return ""
        self._log.seek(0)
        lines = [
            line.strip() for line in self._log if " E " in line or "error" in line.lower() or "failed" in line.lower()
        ]
        return f"({lines[-1][-200:]})" if lines else ""


_servers: dict[LlamaOptions, LlamaServer] = {}
_servers_lock = threading.Lock()


def shared_server(options: LlamaOptions) -> LlamaServer:
    """The server of a file in this process; however many models ask for it, there is one."""
    with _servers_lock:
        if options not in _servers:
            _servers[options] = LlamaServer(options)
        return _servers[options]


@atexit.register
def close_servers() -> None:
    """Ends the servers of this process; each starts again when it is asked."""
    for server in _servers.values():
        server.close()


def _forget_servers() -> None:
    """A forked process has none of its parent's servers."""
    global _servers_lock
    _servers_lock = threading.Lock()
    _servers.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_servers)


def _free_memory() -> int | None:
    """Bytes that a process can still take, or None where the system does not say."""
    with contextlib.suppress(OSError, ValueError):
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    with contextlib.suppress(ValueError, OSError, AttributeError):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return None


def lora_adapters(adapters: Sequence[str | Path | tuple[str | Path, float]]) -> tuple[tuple[str, float], ...]:
    """Adapters as options hold them; one without a scale has 1."""
    pairs = [adapter if isinstance(adapter, tuple) else (adapter, 1.0) for adapter in adapters]
    return tuple((str(Path(path).expanduser().resolve()), float(scale)) for path, scale in pairs)
