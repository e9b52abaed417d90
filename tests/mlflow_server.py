"""A real MLflow server on this machine, which a test may kill and start again.

Needs the full ``mlflow``, whose command ``MLFLOW_COMMAND`` may name; tests skip where there is none.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import threading
import time
import urllib.request
from pathlib import Path

import pytest

_COMMAND = os.environ.get("MLFLOW_COMMAND") or (shutil.which("mlflow") if importlib.util.find_spec("flask") else None)
needs_mlflow_server = pytest.mark.skipif(
    not _COMMAND, reason="the full mlflow is not installed, nor named by MLFLOW_COMMAND"
)
"""Marks tests that start a server."""


class MlflowServer:
    """A server with its database and artifacts in a folder.

    Args:
        folder: where they lie.
        store: URI of a database that is there already; empty makes one in the folder.
    """

    def __init__(self, folder: Path, store: str = "") -> None:
        self.folder, self.database = folder, folder / "server.db"
        self._store = store or f"sqlite:///{self.database}"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self.address = f"http://127.0.0.1:{self._port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts it, and waits until it answers."""
        log = self.folder / "server.log"
        command = [str(_COMMAND), "server", "--backend-store-uri", self._store, "--workers", "1"]
        command += ["--artifacts-destination", str(self.folder / "artifacts")]
        with log.open("a") as file:
            self._process = subprocess.Popen(
                [*command, "--host", "127.0.0.1", "--port", str(self._port)],
                stdout=file, stderr=file, start_new_session=True,
            )  # fmt: skip
        for _ in range(360):
            try:
                with urllib.request.urlopen(self.address + "/health", timeout=2):
                    return
            except OSError:
                assert self._process.poll() is None, log.read_text()
                time.sleep(0.5)
        raise AssertionError(log.read_text())

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Ends it and all its processes, by default politely."""
        if self._process is not None:
            os.killpg(self._process.pid, number)
            self._process.wait(timeout=120)
            self._process = None

    def kill_when(self, query: str, count: int) -> threading.Thread:
        """Kills it as soon as a query of its database gives at least this number; joined when that is done."""

        def watch() -> None:
            while self.count(query) < count:
                time.sleep(0.005)
            self.stop(signal.SIGKILL)

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        return thread

    def count(self, query: str) -> int:
        """What a query of the database gives, 0 while it cannot be asked."""
        try:
            with sqlite3.connect(f"file:{self.database}?mode=ro", uri=True) as connection:
                return connection.execute(query).fetchone()[0]
        except sqlite3.Error:
            return 0
