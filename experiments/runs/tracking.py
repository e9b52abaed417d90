"""MLflow as a view of a run: parameters, metrics, tables, figures, records and program states,
one MLflow run per comparison.

Only this file and ``study_tracking`` import mlflow, and only in a thread of its own: making a new database takes
seconds. Everything is written by explicit run id. A store that fails is named once and then left alone; the records on
disk are the truth and do not depend on it.
"""

from __future__ import annotations

import json
import logging
import os
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from .run_folder import RunFolder

if TYPE_CHECKING:
    from mlflow import MlflowClient

T = TypeVar("T")
_LONGEST_PARAMETER = 500  # characters; the whole configuration is an artifact
_PER_BATCH = 90  # MLflow takes at most 100 parameters a request


@dataclass(frozen=True)
class Tracked:
    """What is written to the store when a comparison ends."""

    parameters: Mapping[str, Any]
    metrics: Mapping[str, float]
    files: Sequence[Path]
    """Files and folders of the run, kept as artifacts under their own names."""
    finished: bool
    """Whether the comparison ran to its end."""


class Tracker:
    """The MLflow run of a comparison, begun or continued in the background.

    Args:
        uri: of the tracking store, such as ``sqlite:///mlflow.db`` or ``http://127.0.0.1:5000``.
        experiment: its name there.
        folder: the run's folder, which remembers the MLflow run id.
        warn: called with one text if the store fails.
    """

    def __init__(self, uri: str, *, experiment: str, folder: RunFolder, warn: Callable[[str], None]) -> None:
        self.uri, self.experiment, self.folder = uri, experiment, folder
        self._warn = warn
        self._failed = threading.Event()
        self._client: MlflowClient | None = None
        self._run_id = ""
        self._beginning = self._in_background(self._begin)

    def finish(self, tracked: Tracked, *, timeout_seconds: float = 60.0) -> str:
        """Writes everything and returns the MLflow run id,
        or an empty string where the store failed or took too long.
        """
        writing = self._in_background(lambda: self._write(tracked))
        writing.join(timeout_seconds)
        if writing.is_alive():
            self._fail(f"no answer within {timeout_seconds:g} s")
        return "" if self._failed.is_set() else self._run_id

    def _in_background(self, step: Callable[[], None]) -> threading.Thread:
        def guarded() -> None:
            try:
                step()
            except Exception as error:  # noqa: BLE001 (whatever a store does, the run goes on)
                self._fail(without_password(" ".join(f"{type(error).__name__}: {error}".split()))[:200])

        thread = threading.Thread(target=guarded, daemon=True, name="mlflow")
        thread.start()
        return thread

    def _fail(self, reason: str) -> None:
        if not self._failed.is_set():
            self._failed.set()
            self._warn(f"not tracked in MLflow ({without_password(self.uri)}): {reason}")

    def _begin(self) -> None:
        client = connect(self.uri)
        self._run_id = self._continued(client) or self._created(client)
        self._client = client

    def _continued(self, client: MlflowClient) -> str:
        from mlflow.exceptions import MlflowException

        if not self.folder.tracking.exists():
            return ""
        try:
            known = json.loads(self.folder.tracking.read_text(encoding="utf-8"))
            if known["uri"] != without_password(self.uri):
                return ""
            client.update_run(known["run_id"], status="RUNNING")
            return known["run_id"]
        except (ValueError, KeyError, MlflowException):
            return ""  # the run was deleted or the file is damaged: a new one is begun

    def _created(self, client: MlflowClient) -> str:
        experiment = experiment_id(client, self.uri, self.experiment, self.folder.path)
        run_id = client.create_run(experiment, run_name=self.folder.path.name).info.run_id
        known = {"uri": without_password(self.uri), "experiment": self.experiment, "run_id": run_id}
        self.folder.tracking.write_text(json.dumps(known), encoding="utf-8")
        return run_id

    def _write(self, tracked: Tracked) -> None:
        self._beginning.join()
        if self._client is None or self._failed.is_set():
            return
        from mlflow.entities import Metric, Param  # not before the other thread has imported mlflow
        from mlflow.utils.time import get_current_time_millis

        now = get_current_time_millis()
        parameters = [Param(key, str(value)[:_LONGEST_PARAMETER]) for key, value in tracked.parameters.items()]
        metrics = [Metric(key, value, now, 0) for key, value in tracked.metrics.items()]
        for some in _batches(parameters, _PER_BATCH):
            self._client.log_batch(self._run_id, params=some)
        for some in _batches(metrics, _PER_BATCH):
            self._client.log_batch(self._run_id, metrics=some)
        for path in tracked.files:
            if path.is_dir():
                self._client.log_artifacts(self._run_id, str(path), path.name)
            elif path.exists():
                self._client.log_artifact(self._run_id, str(path))
        self._client.set_terminated(self._run_id, "FINISHED" if tracked.finished else "KILLED")


def connect(uri: str) -> MlflowClient:
    """A client that gives up on a dead server within seconds; with MLflow's defaults each call blocks for minutes."""
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "5")
    from mlflow import MlflowClient

    logging.getLogger("mlflow").setLevel(logging.WARNING)  # it would tell of every table it makes
    return MlflowClient(tracking_uri=uri)


def experiment_id(client: MlflowClient, uri: str, name: str, run: Path) -> str:
    """The id of an experiment, which is made where it does not exist;
    a local store keeps its artifacts beside the run's folder.
    """
    found = client.get_experiment_by_name(name)
    artifacts = (run.parent / "mlartifacts").resolve().as_uri() if uri.startswith("sqlite") else None
    return found.experiment_id if found else client.create_experiment(name, artifact_location=artifacts)


def default_uri(folder: RunFolder) -> str:
    """What ``MLFLOW_TRACKING_URI`` says, or a database beside the run's folder, shared by all runs there."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{(folder.path.parent / 'mlflow.db').resolve()}"


def without_password(text: str) -> str:
    """The text with user names and passwords taken out of the URIs in it."""
    return re.sub(r"(?<=://)[^/@\s]+@", "", text)


def _batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    rest = iter(items)
    while some := list(islice(rest, size)):
        yield some
