"""Work on a Ray cluster.

Items go to processes of the cluster, results come back as they are ready, and this process alone writes, which needs no
shared disk.

The cluster's machines need what this one has: the package with its extras, the user's own modules, the models'
addresses, and the environment variables that hold their keys. A bank that several machines share is in PostgreSQL.
"""

from __future__ import annotations

import importlib
import logging
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, Literal, TypeVar

import cloudpickle

from dspy_fusion.programs import CandidateBank
from dspy_fusion.programs.banks.databases import database_url
from dspy_fusion.programs.errors import FusionError, RecordError
from dspy_fusion.programs.extras import needs

Engine = Literal["local", "ray"]
ENGINES: tuple[Engine, ...] = ("local", "ray")
T = TypeVar("T")
_AHEAD = 2  # items that wait at each process, so that none is idle while a result travels
_PASSED_ON = ("LITELLM_LOCAL_MODEL_COST_MAP", "DO_NOT_TRACK", "HF_HUB_OFFLINE", "DSPY_FUSION_DATA")


def spread(work: Callable[[Any], T], items: Iterable[Any], on_result: Callable[[T], None], *, threads: int) -> None:
    """Has a cluster do the work on every item, and takes the results in whatever order they come.

    The cluster is the one that ``RAY_ADDRESS`` names, or one that is started on this machine and ended afterwards.

    Args:
        work: from an item to a result; it is pickled once, and each process makes its own of it.
        items: what is worked on.
        on_result: called in this thread.
        threads: items that one process works on at a time.

    Raises:
        ConfigurationError: Ray is not installed.
        RecordError: the cluster failed.
        FusionError: ``work`` raised it.
    """
    with needs("--engine ray", "ray"):
        ray: Any = importlib.import_module("ray")
    with _cluster(ray):
        try:
            _drive(ray, cloudpickle.dumps(work), iter(items), on_result, threads)
        except ray.exceptions.RayTaskError as error:
            cause = error.cause
            if isinstance(cause, FusionError):
                raise cause from error
            raise RecordError(_told(error)) from error
        except ray.exceptions.RayError as error:
            raise RecordError(_told(error)) from error


def reachable(bank: CandidateBank) -> CandidateBank:
    """The bank by an address that holds in every folder: processes of a cluster work in folders of their own."""
    url = database_url(bank.url)
    if url.get_backend_name() != "sqlite" or not url.database or Path(url.database).is_absolute():
        return bank
    return CandidateBank(url.set(database=str(Path(url.database).resolve())).render_as_string(hide_password=False))


def _drive(ray: Any, work: bytes, items: Iterator[Any], on_result: Callable[[Any], None], threads: int) -> None:
    count = max(1, int(ray.cluster_resources().get("CPU", 1)))
    worker = ray.remote(num_cpus=1, max_concurrency=threads)(_Worker)
    workers = [worker.remote(work) for _ in range(count)]
    waiting: dict[Any, Any] = {}
    for one in workers * (threads * _AHEAD):
        for item in islice(items, 1):
            waiting[one.do.remote(cloudpickle.dumps(item))] = one
    try:
        while waiting:
            (ready, *_), _ = ray.wait(list(waiting), num_returns=1)
            one, result = waiting.pop(ready), ray.get(ready)
            for item in islice(items, 1):
                waiting[one.do.remote(cloudpickle.dumps(item))] = one
            on_result(cloudpickle.loads(result))
    finally:
        for one in workers:
            ray.kill(one)


class _Worker:
    """A process of the cluster."""

    def __init__(self, work: bytes) -> None:
        self.work = cloudpickle.loads(work)

    def do(self, item: bytes) -> bytes:
        return cloudpickle.dumps(self.work(cloudpickle.loads(item)))


@contextmanager
def _cluster(ray: Any) -> Iterator[None]:
    mine = not ray.is_initialized()
    if mine:
        paths = os.pathsep.join(filter(None, (os.getcwd(), os.environ.get("PYTHONPATH", ""))))
        passed = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        quiet = {"env_vars": {**passed, "PYTHONPATH": paths}}
        ray.init(log_to_driver=False, logging_level=logging.ERROR, include_dashboard=False, runtime_env=quiet)
    try:
        yield
    finally:
        if mine:
            ray.shutdown()


def _told(error: Exception) -> str:
    cause = " ".join(str(error).split())[-300:]
    return f"Ray could not do all of it: {cause}; what is recorded is kept, and the same command goes on"
