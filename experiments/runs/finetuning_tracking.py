"""MLflow as a view of a training: one run, written by its explicit id, with the curve as it grows.

A dead server costs nothing.

Points wait in memory for a thread of its own; they are in the folder's curve anyway, which is the truth and goes along
as an artifact.
"""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .tracking import connect, experiment_id, without_password

if TYPE_CHECKING:
    from mlflow import MlflowClient

_LONGEST = 500  # characters of a parameter
_PER_BATCH = 90


class CurveTracker:
    """Writes a training to MLflow as it goes; the same folder goes on with the same run.

    Args:
        uri: of the tracking store.
        experiment: its name there.
        folder: the training's folder, which remembers the run.
        parameters: of the run.
        warn: called with one text if the store fails.
    """

    def __init__(
        self, uri: str, *, experiment: str, folder: Path, parameters: Mapping[str, str], warn: Callable[[str], None]
    ) -> None:
        self.uri, self.experiment, self.folder, self.parameters = uri, experiment, folder, parameters
        self._warn, self._run_id, self._failed = warn, "", False
        self._waiting: queue.SimpleQueue[Callable[[MlflowClient], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, daemon=True, name="mlflow")
        self._thread.start()

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Adds a point of the curve; returns at once."""
        self._waiting.put(lambda client: self._log(client, step, values))

    def finish(self, metrics: Mapping[str, float], files: Sequence[Path], *, timeout_seconds: float = 60.0) -> str:
        """Writes the end; returns the run's id, or an empty string where the store failed or took too long."""
        self._waiting.put(lambda client: self._end(client, metrics, files))
        self._waiting.put(None)
        self._thread.join(timeout_seconds)
        if self._thread.is_alive():
            self._fail(f"no answer within {timeout_seconds:g} s")
        return "" if self._failed else self._run_id

    def _work(self) -> None:
        try:
            client = connect(self.uri)
            self._run_id = self._continued(client) or self._created(client)
            while (write := self._waiting.get()) is not None:
                write(client)
        except Exception as error:  # noqa: BLE001 (whatever a store does, the training goes on)
            self._fail(without_password(" ".join(f"{type(error).__name__}: {error}".split()))[:200])

    def _fail(self, reason: str) -> None:
        if not self._failed:
            self._failed = True
            self._warn(f"not tracked in MLflow ({without_password(self.uri)}): {reason}")

    @property
    def _known(self) -> Path:
        return self.folder / "mlflow.json"

    def _continued(self, client: MlflowClient) -> str:
        from mlflow.exceptions import MlflowException

        try:
            known = json.loads(self._known.read_text(encoding="utf-8"))
            if known["uri"] != without_password(self.uri):
                return ""
            client.update_run(known["run_id"], status="RUNNING")
            return known["run_id"]
        except (OSError, ValueError, KeyError, MlflowException):
            return ""  # there is none, or it was deleted: a new one is begun

    def _created(self, client: MlflowClient) -> str:
        from mlflow.entities import Param

        experiment = experiment_id(client, self.uri, self.experiment, self.folder)
        run_id = client.create_run(experiment, run_name=self.folder.name).info.run_id
        self._known.write_text(json.dumps({"uri": without_password(self.uri), "run_id": run_id}), encoding="utf-8")
        params = [Param(name, value[:_LONGEST]) for name, value in self.parameters.items()]
        for first in range(0, len(params), _PER_BATCH):
            client.log_batch(run_id, params=params[first : first + _PER_BATCH])
        return run_id

    def _log(self, client: MlflowClient, step: int, values: Mapping[str, float]) -> None:
        from mlflow.entities import Metric
        from mlflow.utils.time import get_current_time_millis

        now = get_current_time_millis()
        client.log_batch(self._run_id, metrics=[Metric(name, value, now, step) for name, value in values.items()])

    def _end(self, client: MlflowClient, metrics: Mapping[str, float], files: Sequence[Path]) -> None:
        self._log(client, 0, metrics)
        for path in files:
            if path.exists():
                client.log_artifact(self._run_id, str(path))
        client.set_terminated(self._run_id, "FINISHED")
