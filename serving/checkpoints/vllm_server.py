"""A vLLM server on loopback for one checkpoint: started when it is first asked, ended with its owner.

Its memory is free again when it is closed. LoRA adapters are served over their base and not merged.
"""

from __future__ import annotations

import atexit
import json
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any

from dspy_fusion.programs.errors import FusionError, MissingExtra

from ..local.llama_server import end_process
from .checkpoint_options import CheckpointOptions

BASE, TRAINED = "base", "trained"
"""What the checkpoint is called on its server, and what the adapters over it are."""
_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)  # that vLLM reserves memory for


class ServerDied(FusionError):
    """A vLLM server ended by itself."""


@dataclass(frozen=True)
class VllmOptions:
    """How vLLM runs a checkpoint.

    Attributes:
        checkpoint: which.
        arguments: further ones of ``vllm serve``, such as ``--tensor-parallel-size 2``.
        ready_within: seconds that it may take to be ready.
        command: the program; a path, or a name on ``PATH``.
    """

    checkpoint: CheckpointOptions
    arguments: tuple[str, ...] = ()
    ready_within: float = 1200.0
    command: str = "vllm"

    def check(self) -> str:
        """Where the program is; raises ``MissingExtra`` where it is not installed."""
        if (path := shutil.which(self.command)) is None:
            raise MissingExtra(
                f"serving by vLLM needs the program {self.command!r}: pip install vllm, or take"
                ' server = "transformers"',
                "vllm",
            )
        return path

    def command_line(self, port: int) -> list[str]:
        """What is run."""
        model = self.checkpoint
        line = [self.check(), "serve", model.checkpoint, "--host", "127.0.0.1", "--port", str(port)]
        line += ["--served-model-name", BASE, "--enable-prefix-caching"]
        if model.context:
            line += ["--max-model-len", str(model.context)]
        if model.chat_template:
            line += ["--chat-template", model.chat_template]
        if model.adapter:
            rank = next((size for size in _RANKS if size >= model.rank), model.rank)
            line += ["--enable-lora", "--lora-modules", f"{TRAINED}={model.adapter}", "--max-lora-rank", str(rank)]
        return [*line, *self.arguments]


class VllmServer:
    """A server in a process of its own, which ends with this one, also when that is killed."""

    def __init__(self, options: VllmOptions) -> None:
        self.options = options
        self._lock, self._is_closing = threading.Lock(), threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._address = ""
        self._log: Any = None

    @property
    def is_alive(self) -> bool:
        """Whether its process runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def model(self) -> str:
        """What its model is called there."""
        return TRAINED if self.options.checkpoint.adapter else BASE

    def address(self) -> str:
        """Where it answers; it is started, and waited for, where it does not run.

        Raises:
            MissingExtra: vLLM is not installed.
            ServerDied: it ended or was closed before it was ready, or was not ready in time; its last words are in the
                message.
        """
        with self._lock:
            if not self.is_alive:
                self._start()
            return self._address

    def answered(self) -> None:
        """Nothing is to be noted."""

    def close(self) -> None:
        """Ends the process, also one that is not ready yet; the server starts again when it is asked."""
        self._is_closing.set()  # whoever waits for it to be ready has the lock
        with self._lock:
            self._is_closing.clear()
            self._end()

    def _end(self) -> None:
        if self._process is not None:
            end_process(self._process, seconds=30)
            self._process = None

    def _start(self) -> None:
        port = _free_port()
        line = self.options.command_line(port)
        self._log = tempfile.TemporaryFile()
        keeper = [sys.executable, "-m", f"{__package__}.keeper", *line]
        self._process = subprocess.Popen(
            keeper, stdin=subprocess.PIPE, stdout=self._log, stderr=self._log, process_group=0
        )  # so that Ctrl-C reaches it through its owner alone
        self._address = f"http://127.0.0.1:{port}"
        end = time.monotonic() + self.options.ready_within
        while not _is_ready(self._address):
            if (why := self._why_not(end)) is not None:
                said = self._last_words()
                self._end()
                raise ServerDied(f"vLLM {why} for {self.options.checkpoint.checkpoint}: {said}")
            self._is_closing.wait(0.2)

    def _why_not(self, end: float) -> str | None:
        """Why it will not get ready, or None where it still may."""
        if self._is_closing.is_set():
            return "was closed before it was ready"
        if self._process is not None and (code := self._process.poll()) is not None:
            return f"ended with code {code}"
        return "was not ready in time" if time.monotonic() > end else None

    def _last_words(self) -> str:
        self._log.seek(0)
        lines = [line.strip() for line in self._log.read().decode(errors="replace").splitlines() if line.strip()]
        told = [line for line in lines if "error" in line.lower()] or lines
        return told[-1][-300:] if told else "it said nothing"


def _is_ready(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/v1/models", timeout=5) as reply:
            return bool(json.load(reply).get("data"))
    except (urllib.error.URLError, OSError, ValueError):
        return False


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


_servers: dict[tuple[VllmOptions, str], VllmServer] = {}
_servers_lock = threading.Lock()


def shared_server(options: VllmOptions) -> VllmServer:
    """The server of these options in this process, and another one for other weights in the same place."""
    with _servers_lock:
        return _servers.setdefault((options, options.checkpoint.digest), VllmServer(options))


def any_running() -> bool:
    """Whether a server of this process runs."""
    return any(server.is_alive for server in list(_servers.values()))


@atexit.register
def close_servers() -> None:
    """Ends the servers of this process; each starts again when it is asked."""
    for server in list(_servers.values()):
        server.close()
