"""MLflow as a view of a run.

Parameters, metrics, curves, texts, files and prompts, one MLflow run for each run and one below it for each trial.

What MLflow is to be told lies in the folder's outbox; here it is told, by explicit run ids, and what was told before is
not told again.
"""

from __future__ import annotations

import getpass
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from dspy_fusion.programs.json_text import read_json

from ..presentation.text_table import slug
from ..records.outbox import Outbox, Told, as_told
from ..records.prompt_versions import link_prompts
from .logged_models import log_model
from .run_file import write_whole
from .run_folder import RunFolder
from .run_traces import log_traces
from .tracking import connect, experiment_id, without_password

if TYPE_CHECKING:
    from mlflow import MlflowClient

T = TypeVar("T")
RUN, STUDY = "dspy_fusion.run", "dspy_fusion.study"
_TABLES = "mlflow.loggedArtifacts"  # where MLflow's page looks for tables
_LONGEST = 500  # characters of a parameter; the whole configuration is an artifact
_PER_BATCH = 90  # MLflow takes at most 100 parameters a request


@dataclass(frozen=True)
class Place:
    """Where a run is tracked.

    Attributes:
        uri: of the tracking store, such as ``sqlite:///mlflow.db`` or ``http://127.0.0.1:5000``.
        experiment: its name there.
        folder: of the run, which holds the outbox.
        key: what tells this run from all others, wherever its folder lies; empty takes the folder.
    """

    uri: str
    experiment: str
    folder: Path
    key: str = ""

    @property
    def outbox(self) -> Outbox:
        """What is to be told."""
        return Outbox(RunFolder(self.folder).outbox)

    @property
    def tag(self) -> str:
        """By which the MLflow run is found again."""
        return self.key or str(self.folder.resolve())

    def known(self) -> dict[str, Any]:
        """What the folder remembers of its MLflow run, and of this store: its id and how many messages it was told."""
        try:
            known = read_json(RunFolder(self.folder).tracking.read_text(encoding="utf-8"))
            return known if known["uri"] == without_password(self.uri) else {}
        except (OSError, ValueError, KeyError, TypeError):
            return {}

    def remember(self, run_id: str, told: int) -> None:
        """Notes in the folder which MLflow run this is."""
        about = {"uri": without_password(self.uri), "experiment": self.experiment, "key": self.key}
        write_whole(RunFolder(self.folder).tracking, {**about, "run_id": run_id, "told": told})


class MlflowWriter:
    """Brings MLflow up to what a run's outbox holds.

    Attributes:
        children: how many runs below the run were written.
        written: how many messages were.
    """

    def __init__(self, place: Place) -> None:
        self.place = place
        self.children = self.written = 0
        self._client: MlflowClient | None = None
        self._run_id, self._experiment, self._told = "", "", 0
        self._parameters: set[str] = set()
        self._below: dict[str, tuple[str, str]] = {}

    def write(self, *, closing: bool = False) -> str:
        """Tells what was not told yet; returns the MLflow run's id.

        Args:
            closing: whether a run that has no end is marked as killed.
        """
        try:
            client = self._client or self._connected()
            messages = [as_told(message) for message in self.place.outbox.messages()]
            self._tell_all(client, messages[self._told :])
            last = next((told.status for told in reversed(messages) if not told.run), "")
            if last or closing:
                client.set_terminated(self._run_id, last or "KILLED")
        except Exception:
            self._client = None  # whatever was told without an answer is looked up when the store is there again
            raise
        return self._run_id

    def _tell_all(self, client: MlflowClient, fresh: Sequence[Told]) -> None:
        try:
            for told in fresh:
                (self._tell_child if told.run else self._tell)(client, told)
                self.written += 1
                self._told += 1
        finally:
            self.place.remember(self._run_id, self._told)

    def _connected(self) -> MlflowClient:
        client = connect(self.place.uri)
        self._experiment = experiment_id(client, self.place.uri, self.place.experiment, self.place.folder)
        self._run_id, self._told = self._begun(client)
        self._parameters = set(client.get_run(self._run_id).data.params)
        self._below = self._runs_below(client)
        self._client = client
        return client

    def _begun(self, client: MlflowClient) -> tuple[str, int]:
        from mlflow.exceptions import MlflowException

        known = self.place.known()
        if known.get("run_id"):
            try:
                client.update_run(known["run_id"], status="RUNNING")
                return known["run_id"], int(known.get("told", 0))
            except MlflowException:
                pass  # it was deleted: a new one is begun, and told everything
        for tag in (RUN, STUDY):
            runs = client.search_runs([self._experiment], f"tags.`{tag}` = '{self.place.tag}'", max_results=1)
            if runs:
                client.update_run(runs[0].info.run_id, status="RUNNING")
                return runs[0].info.run_id, 0
        run = client.create_run(
            self._experiment, run_name=self.place.folder.name, tags={**_origin(), RUN: self.place.tag}
        )
        self.place.remember(run.info.run_id, 0)
        return run.info.run_id, 0

    def _runs_below(self, client: MlflowClient) -> dict[str, tuple[str, str]]:
        below, token = {}, None
        while True:
            page = client.search_runs(
                [self._experiment], f"tags.`mlflow.parentRunId` = '{self._run_id}'", page_token=token
            )
            below |= {run.info.run_name: (run.info.run_id, run.info.status) for run in page}
            token = page.token
            if not token:
                return below

    def _tell(self, client: MlflowClient, told: Told) -> None:
        fresh = {name: value for name, value in told.parameters.items() if name not in self._parameters}
        _log(client, self._run_id, fresh, told)
        self._parameters |= set(fresh)
        self._further(client, self._run_id, self.place.folder.name, told)
        for name in told.files:
            path = self.place.folder / name
            if path.is_dir():
                client.log_artifacts(self._run_id, str(path), path.name)
            elif path.exists():
                client.log_artifact(self._run_id, str(path))
        link_prompts(client, self._run_id, self.place.experiment, told.prompts)

    def _tell_child(self, client: MlflowClient, told: Told) -> None:
        if told.run not in self._below:
            self._below |= self._runs_below(client)  # another machine that works on this run may have told it
        run_id, status = self._below.get(told.run, ("", "RUNNING"))
        if status != "RUNNING" and not told.renews:
            return
        tags = {**_origin(), "mlflow.parentRunId": self._run_id}
        run_id = run_id or client.create_run(self._experiment, run_name=told.run, tags=tags).info.run_id
        _log(client, run_id, told.parameters, told)
        self._further(client, run_id, told.run, told)
        link_prompts(client, run_id, self.place.experiment, told.prompts)
        client.set_terminated(run_id, told.status or "FINISHED")
        self._below[told.run] = (run_id, told.status or "FINISHED")
        self.children += 1

    def _further(self, client: MlflowClient, run_id: str, name: str, told: Told) -> None:
        """Traces, and the model that a run made."""
        if told.traces:
            log_traces(self.place.uri, self._experiment, run_id, told.traces)
        if told.model and (self.place.folder / told.model).is_dir():
            log_model(client, self._experiment, run_id, slug(name), self.place.folder / told.model, told)


def _log(client: MlflowClient, run_id: str, parameters: Mapping[str, Any], told: Told) -> None:
    from mlflow.entities import Metric, Param, RunTag

    params = [Param(_key(name), str(value)[:_LONGEST]) for name, value in parameters.items()]
    metrics = [Metric(_key(name), float(value), told.at, told.step) for name, value in told.metrics.items()]
    tags = [RunTag(name, str(value)[:1000]) for name, value in told.tags.items()]
    for some in _batches(params, _PER_BATCH):
        client.log_batch(run_id, params=some)
    for some in _batches(metrics, _PER_BATCH):
        client.log_batch(run_id, metrics=some)
    if tags:
        client.log_batch(run_id, tags=tags)
    for path, text in told.texts.items():
        client.log_text(run_id, text, _key(path))
    for path, table in told.tables.items():
        _log_table(client, run_id, _key(path), table)
    if told.data:
        _log_input(client, run_id, told.data)


def _log_table(client: MlflowClient, run_id: str, path: str, table: Mapping[str, Any]) -> None:
    """What ``mlflow.log_table`` writes, which itself needs pandas and would append to a table that is there."""
    client.log_text(run_id, json.dumps(table, ensure_ascii=False), path)
    known = read_json(client.get_run(run_id).data.tags.get(_TABLES, "[]"))
    entry = {"path": path, "type": "table"}
    client.set_tag(run_id, _TABLES, json.dumps([*(item for item in known if item != entry), entry]))


def _log_input(client: MlflowClient, run_id: str, data: Mapping[str, str]) -> None:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    client.log_inputs(run_id, [DatasetInput(Dataset(**data), [InputTag("mlflow.data.context", "evaluation")])])


def _origin() -> dict[str, str]:
    """Who made a run, and by what, under the names that MLflow's pages show."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError, ImportError):
        user = "unknown"
    return {
        "mlflow.user": user,
        "mlflow.source.name": Path(sys.argv[0]).name or "python",
        "mlflow.source.type": "LOCAL",
    }


def _key(name: str) -> str:
    return re.sub(r"[^\w./ -]", "_", name)


def _batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    rest = iter(items)
    while some := list(islice(rest, size)):
        yield some
