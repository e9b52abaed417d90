"""The way to MLflow: the store that is meant, a client that gives up on a dead one, and no password in what is said.

mlflow is not imported before it is used: making a new database takes seconds.
"""

from __future__ import annotations

import importlib
import logging
import os
import re
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from dspy_fusion.programs.redaction import described

from .run_folder import RunFolder

if TYPE_CHECKING:
    from mlflow import MlflowClient

_loading = threading.Lock()


def connect(uri: str) -> MlflowClient:
    """A client that gives up on a dead server within seconds; with MLflow's defaults each call blocks for minutes."""
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "5")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")  # standard output is for results
    load_mlflow()
    from mlflow import MlflowClient

    logging.getLogger("mlflow").setLevel(logging.WARNING)  # it would tell of every table it makes
    if (file := _file_of(uri)) is not None and not file.exists():
        _make_whole(file)
    return MlflowClient(tracking_uri=uri)


def load_mlflow() -> None:
    """Imports mlflow, in one thread at a time: it imports itself in circles, which two threads at once may break."""
    with _loading:
        importlib.import_module("mlflow")


def _file_of(uri: str) -> Path | None:
    database = sa.make_url(uri).database if uri.startswith("sqlite:") else None
    return Path(database) if database and database != ":memory:" else None


def _make_whole(file: Path) -> None:
    """Makes a database under another name first: a process that ends while it makes the tables, or another that makes
    them at the same time, would leave one that MLflow can never open again.
    """
    from mlflow import MlflowClient

    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{file.name}-", dir=file.parent) as folder:
        made = Path(folder) / file.name
        MlflowClient(tracking_uri=f"sqlite:///{made}").search_experiments(max_results=1)
        try:
            os.link(made, file)
        except FileExistsError:
            pass  # another process was first
        except OSError:  # a file system without links
            made.replace(file)


def experiment_id(client: MlflowClient, uri: str, name: str, run: Path) -> str:
    """The id of an experiment, which is made where it does not exist.

    A local store keeps its artifacts beside the run's folder.
    """
    from mlflow.exceptions import MlflowException

    if (experiment := client.get_experiment_by_name(name)) is not None:
        return experiment.experiment_id
    artifacts = (run.parent / "mlartifacts").resolve().as_uri() if uri.startswith("sqlite") else None
    try:
        return client.create_experiment(name, artifact_location=artifacts)
    except MlflowException:
        if (experiment := client.get_experiment_by_name(name)) is None:
            raise
        return experiment.experiment_id  # another process was first


def default_uri(folder: RunFolder) -> str:
    """What ``MLFLOW_TRACKING_URI`` says, or a database beside the run's folder, shared by all runs there."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{(folder.path.parent / 'mlflow.db').resolve()}"


def reason(error: Exception) -> str:
    """An error of a store in one short line, without passwords."""
    return without_password(described(error, 200))


def without_password(text: str) -> str:
    """The text with user names and passwords taken out of the URIs in it."""
    return re.sub(r"(?<=://)[^/@\s]+@", "", text)


@contextmanager
def active(uri: str, run_id: str) -> Iterator[None]:
    """A block in which an MLflow run is the active one, so that what autologging records belongs to it.

    A run of the user's own that was active is so again afterwards.

    A store that fails costs the block nothing; who tells it of the run says that it does.
    """
    load_mlflow()
    import mlflow
    import mlflow.tracking

    before: Any = mlflow.get_tracking_uri() if mlflow.is_tracking_uri_set() else None
    try:
        mlflow.set_tracking_uri(uri)
        with ExitStack() as stack:
            with suppress(Exception):
                run = mlflow.start_run(run_id=run_id, nested=mlflow.active_run() is not None)
                stack.push(partial(_ended, run))
            yield
    finally:
        mlflow.set_tracking_uri(before)  # which also sets MLFLOW_TRACKING_URI, or unsets it where nothing was set


def _ended(run: Any, *how: Any) -> None:
    with suppress(Exception):
        run.__exit__(*how)
