"""Tracker: keeps what MLflow is to be told in a run's folder, and tells it from a thread of its own.

The files on disk are the truth and depend on no server: a dead one costs a run nothing but a warning, and
``dspy-fusion sync`` tells later what is left.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import asdict

from ..records.outbox import Told
from .run_folder import RunFolder
from .run_writer import MlflowWriter, Place
from .tracking import reason, without_password

_AGAIN_SECONDS = 30.0  # after a failure


class Tracker:
    """Keeps what MLflow is to be told, and tells it in the background.

    Args:
        place: where.
        warn: called with one text when the store fails.
        connected: whether MLflow is told now; otherwise everything waits for ``dspy-fusion sync``.
    """

    def __init__(self, place: Place, warn: Callable[[str], None], *, connected: bool = True) -> None:
        self.place, self._warn = place, warn
        self._wake, self._ending = threading.Event(), threading.Event()
        self._warned, self._run_id = False, ""
        place.folder.mkdir(parents=True, exist_ok=True)
        if not RunFolder(place.folder).tracking.exists():
            place.remember("", 0)
        self._thread = threading.Thread(target=self._work, daemon=True, name="mlflow") if connected else None
        if self._thread:
            self._thread.start()

    @property
    def is_connected(self) -> bool:
        """Whether MLflow is told now."""
        return self._thread is not None

    def tell(self, told: Told) -> None:
        """Keeps something to be told; returns at once. Raises ``OSError`` where it cannot be written down."""
        self.place.outbox.put(asdict(told))
        self._wake.set()

    def finish(self, told: Told | None = None, *, timeout_seconds: float = 60.0) -> str:
        """Tells the end; returns the MLflow run's id, or an empty string where nothing was told or that took too
        long.
        """
        if told is not None:
            self.tell(told)
        if self._thread is None:
            return ""
        self._ending.set()
        self._wake.set()
        self._thread.join(timeout_seconds)
        if self._thread.is_alive():
            self._say(f"no answer within {timeout_seconds:g} s")
            return ""
        return self._run_id

    def _work(self) -> None:
        writer = MlflowWriter(self.place)
        while True:
            ending = self._ending.is_set()
            self._wake.clear()
            try:
                self._run_id = writer.write()
            except Exception as error:  # noqa: BLE001 (whatever a store does, the run goes on)
                self._run_id = ""
                self._say(reason(error))
                if not ending:
                    self._ending.wait(_AGAIN_SECONDS)
            if ending:
                return
            self._wake.wait()

    def _say(self, why: str) -> None:
        if not self._warned:
            self._warned = True
            later = f"later: dspy-fusion sync {self.place.folder}"
            self._warn(f"not tracked in MLflow ({without_password(self.place.uri)}): {why}; {later}")
