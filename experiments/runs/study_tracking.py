"""MLflow as a view of a study: one parent run, one child run per trial, the fusor's prompts in the registry.

What is to be written waits in the folder's outbox and files, and a thread of its own writes it, by explicit run ids.
Runs are found again by their tags, so whatever is interrupted can simply be done again. A dead server costs the study
nothing but a warning.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dspy_fusion.optimizers import TuningReport

from ..records.outbox import Outbox
from .tracking import connect, experiment_id, without_password
from .tuning_folder import TuningFolder

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric

STUDY, TRIAL = "dspy_fusion.study", "dspy_fusion.trial"
_AGAIN_SECONDS = 30.0  # after a failure
_LONGEST = 500  # characters of a parameter
_STATUS = {"whole": "FINISHED", "dropped": "KILLED", "failed": "FAILED"}


@dataclass(frozen=True)
class StudyPlace:
    """Where a study is tracked.

    Attributes:
        uri: of the tracking store.
        experiment: its name there.
        study: what tells this study from all others.
        folder: the run's folder.
        parameters: of the parent run; they never change.
    """

    uri: str
    experiment: str
    study: str
    folder: TuningFolder
    parameters: Mapping[str, Any]


class StudyTracker:
    """Writes a study to MLflow as it goes.

    Args:
        place: where.
        warn: called with one text when the store fails.
    """

    def __init__(self, place: StudyPlace, warn: Callable[[str], None]) -> None:
        self.place, self._warn = place, warn
        self._wake, self._ending = threading.Event(), threading.Event()
        self._warned, self._parent = False, ""
        self._writer = StudyWriter(place)
        self._thread = threading.Thread(target=self._work, daemon=True, name="mlflow")
        self._thread.start()

    def wake(self) -> None:
        """Says that the outbox has something new; returns at once."""
        self._wake.set()

    def finish(self, *, timeout_seconds: float = 60.0) -> str:
        """Writes the end of the study; returns the parent's run id,
        or an empty string where that failed or took too long.
        """
        self._ending.set()
        self._wake.set()
        self._thread.join(timeout_seconds)
        if self._thread.is_alive():
            self._say(f"no answer within {timeout_seconds:g} s")
        return "" if self._thread.is_alive() else self._parent

    def _work(self) -> None:
        while True:
            ending = self._ending.is_set()
            self._wake.clear()
            try:
                self._parent = self._writer.write(whole=ending)
            except Exception as error:  # noqa: BLE001 (whatever a store does, the study goes on)
                self._parent = ""
                self._say(without_password(" ".join(f"{type(error).__name__}: {error}".split()))[:200])
                if not ending:
                    self._ending.wait(_AGAIN_SECONDS)
            if ending:
                return
            self._wake.wait()

    def _say(self, reason: str) -> None:
        if not self._warned:
            self._warned = True
            folder = self.place.folder.path
            self._warn(
                f"not tracked in MLflow ({without_password(self.place.uri)}): {reason}; later: dspy-fusion sync"
                f" {folder}"
            )


class StudyWriter:
    """Brings MLflow up to what the folder holds."""

    def __init__(self, place: StudyPlace) -> None:
        self.place = place
        self.written = 0
        self._client: MlflowClient | None = None
        self._parent, self._experiment = "", ""
        self._done: set[int] = set()

    def write(self, *, whole: bool) -> str:
        """Writes the trials that are missing, and at the end of a study (``whole``) its result;
        returns the parent's run id.
        """
        if self._client is None:
            client = connect(self.place.uri)
            self._experiment = experiment_id(client, self.place.uri, self.place.experiment, self.place.folder.path)
            self._parent = self._parent_run(client)
            self._client = client
        begun = self._children(self._client)
        waiting = {message["trial"]["number"]: message for message in Outbox(self.place.folder.outbox).messages()}
        for number in sorted(waiting.keys() - self._done):
            self._write_trial(self._client, waiting[number], begun.get(number))
            self._done.add(number)
            self.written += 1
        if whole:
            self._write_end(self._client)
        return self._parent

    def _parent_run(self, client: MlflowClient) -> str:
        found = client.search_runs([self._experiment], f"tags.`{STUDY}` = '{self.place.study}'", max_results=1)
        if found:
            client.update_run(found[0].info.run_id, status="RUNNING")
            return found[0].info.run_id
        from mlflow.entities import Param

        run = client.create_run(self._experiment, run_name=self.place.folder.path.name, tags={STUDY: self.place.study})
        parameters = [Param(key, str(value)[:_LONGEST]) for key, value in self.place.parameters.items()]
        client.log_batch(run.info.run_id, params=parameters[:100])
        return run.info.run_id

    def _children(self, client: MlflowClient) -> dict[int, str]:
        """The child runs by trial; those that are finished are noted as done."""
        found, token = {}, None
        while True:
            page = client.search_runs(
                [self._experiment], f"tags.`mlflow.parentRunId` = '{self._parent}'", page_token=token
            )
            for run in page:
                number = int(run.data.tags[TRIAL])
                found[number] = run.info.run_id
                if run.info.status != "RUNNING":
                    self._done.add(number)
            token = page.token
            if not token:
                return found

    def _write_trial(self, client: MlflowClient, message: Mapping[str, Any], begun: str | None) -> None:
        from mlflow.entities import Param

        trial = message["trial"]
        number, quality = trial["number"], trial["quality"]
        tags = {
            "mlflow.parentRunId": self._parent,
            TRIAL: str(number),
            "state": trial["state"],
            "cause": trial["cause"][:1000],
        }
        run_id = begun or client.create_run(self._experiment, run_name=f"trial {number}", tags=tags).info.run_id
        parameters = [Param(_key(name), str(value)[:_LONGEST]) for name, value in trial["setting"].items()]
        values = {"cost": trial["cost"], "scored": float(trial["scored"])}
        if quality:
            values |= {"quality": quality["mean"], "quality_low": quality["low"], "quality_high": quality["high"]}
        client.log_batch(run_id, params=parameters[:100], metrics=_metrics(values, number))
        for path, text in message["instructions"].items():
            client.log_text(run_id, text, f"instructions/{_key(path)}.txt")
        client.set_terminated(run_id, _STATUS[trial["state"]])

    def _write_end(self, client: MlflowClient) -> None:
        folder = self.place.folder
        if not folder.report.exists():
            client.set_terminated(self._parent, "KILLED")
            return
        report = TuningReport.load(folder.report)
        client.log_batch(self._parent, metrics=_metrics(_summary(report), len(report.trials)))
        client.set_tag(self._parent, "verdict", report.verdict)
        for path in (folder.report, folder.program, folder.about):
            client.log_artifact(self._parent, str(path))
        client.log_artifacts(self._parent, str(folder.plots), "plots")
        for path, text in report.chosen_instructions.items():
            self._register(client, path, text)
        client.set_terminated(self._parent, "FINISHED")

    def _register(self, client: MlflowClient, path: str, text: str) -> None:
        name = re.sub(r"[^\w.-]", "-", f"{self.place.experiment}-{path}")
        latest = client.load_prompt(f"prompts:/{name}@latest", allow_missing=True)
        if latest is None or latest.template != text:
            client.register_prompt(name, text, tags={STUDY: self.place.study, "run_id": self._parent})


def _summary(report: TuningReport) -> dict[str, float]:
    found = {"cost_before": report.cost_before, "cost_after": report.cost_after, "spent_cost": report.spent_cost}
    found |= {
        "calls_spent": float(report.spent.calls),
        "calls_replayed": float(report.replayed.calls),
        "trials": float(len(report.trials)),
    }
    for name in ("baseline", "before", "after", "gain"):
        interval = getattr(report, name)
        if interval is not None:
            found |= {name: interval.mean, f"{name}_low": interval.low, f"{name}_high": interval.high}
    return found


def _metrics(values: Mapping[str, float], step: int) -> list[Metric]:
    from mlflow.entities import Metric
    from mlflow.utils.time import get_current_time_millis

    now = get_current_time_millis()
    return [Metric(key, float(value), now, step) for key, value in values.items()]


def _key(name: str) -> str:
    return re.sub(r"[^\w./ -]", "_", name)


def tracking_parameters(config: Mapping[str, Any]) -> dict[str, Any]:
    """What of a configuration is shown as the parent's parameters: one entry a leaf."""
    found: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, Mapping):
            found |= {f"{key}.{name}": item for name, item in tracking_parameters(value).items()}
        elif value not in (None, "", (), []):
            found[key] = value if isinstance(value, str | int | float | bool) else json.dumps(value)
    return found
