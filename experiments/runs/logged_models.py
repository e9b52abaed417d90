"""Programs as MLflow models: saved beside a run, so that ``mlflow.dspy.load_model`` gives them back.

A model is DSPy's own saved program (cloudpickle): embedded and local models lie in it by name, not by weight, and no
key does. What holds a key all the same, or cannot be pickled, is not saved, and that is said.
"""

from __future__ import annotations

import logging
import shutil
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cloudpickle
import dspy

from dspy_fusion.programs.redaction import described, know_lm, without_secrets

from ..plans.own_programs import parts_of
from ..presentation.text_table import slug
from ..records.outbox import Told
from .tracking import load_mlflow

if TYPE_CHECKING:
    from mlflow import MlflowClient

_MOST_METRICS = 90  # MLflow takes at most 1000 in a request
_PACKAGES = ("dspy", "dspy-fusion")
_SECRET = ("api_key", "azure_ad_token", "headers", "extra_headers")  # options of a model that may hold one


def save_models(
    folder: Path,
    programs: Mapping[str, dspy.Module],
    warn: Callable[[str], None],
    *,
    adapter: dspy.Adapter | None = None,
) -> dict[str, str]:
    """Saves programs as MLflow models under ``models/`` of a run's folder; those that are there are kept.

    Args:
        folder: of the run.
        programs: by their strategies' names.
        warn: is told what could not be saved, and why.
        adapter: that they run under.

    Returns:
        Where each is, relative to the folder, by its name.
    """
    saved = {}
    for name, program in programs.items():
        path = Path("models") / slug(name)
        if not (folder / path / "MLmodel").is_file():
            try:
                _save(folder / path, program, adapter)
            except Exception as error:  # noqa: BLE001 (whatever a program holds, its run is not lost)
                shutil.rmtree(folder / path, ignore_errors=True)
                warn(f"{name} is no MLflow model: {described(error, 200)}")
                continue
        saved[name] = path.as_posix()
    return saved


def log_model(client: MlflowClient, experiment: str, run_id: str, name: str, path: Path, told: Told) -> None:
    """Has MLflow know a saved model as the outcome of a run, with the run's metrics.

    Once, however often it is told, and to the end where it was told in part.
    """
    from mlflow.entities import LoggedModelOutput, Metric

    outputs = client.get_run(run_id).outputs
    if outputs is not None and outputs.model_outputs:
        return
    begun = client.search_logged_models([experiment], f"source_run_id = '{run_id}'", max_results=1)
    model = begun[0] if begun else client.create_logged_model(experiment, name=name, source_run_id=run_id)
    client.log_model_artifacts(model.model_id, str(path))
    client.finalize_logged_model(model.model_id, "READY")
    known = [
        Metric(key, float(value), told.at, told.step, model_id=model.model_id, run_id=run_id)
        for key, value in told.metrics.items()
    ]
    client.log_batch(run_id, metrics=known[:_MOST_METRICS])
    client.log_outputs(run_id, [LoggedModelOutput(model.model_id, 0)])  # last: it says that all is there


def _save(path: Path, program: dspy.Module, adapter: dspy.Adapter | None) -> None:
    load_mlflow()
    with _quiet(), _unchecked():
        from mlflow.dspy import save_model

        copy, lm = _without_keys(program)
        if not _pickles(lm):
            lm = None  # whoever loads the program sets a model, as where it was made
        with dspy.context(
            lm=lm,
            adapter=adapter,
            callbacks=[],
            usage_tracker=None,
            track_usage=False,
            history=[],
            bypass_suggest=False,
        ):
            shutil.rmtree(path, ignore_errors=True)
            save_model(copy, str(path), pip_requirements=_requirements(), use_dspy_model_save=True)
    for file in path.rglob("*"):
        if file.is_file() and without_secrets(text := file.read_bytes().decode("latin-1")) != text:
            raise ValueError(f"{file.name} would hold a secret; have models read their keys from the environment")


def _without_keys(program: dspy.Module) -> tuple[dspy.Module, dspy.BaseLM | None]:
    """A copy of a program whose models have no keys, and the model that DSPy is set to, likewise."""
    copy, bare = program.deepcopy(), _Bare()
    for part in parts_of(copy):
        if getattr(part, "bank", None) is not None:
            part.bank = None
        for name in ("lm", "fusor_lm"):
            if isinstance(lm := getattr(part, name, None), dspy.BaseLM):
                setattr(part, name, bare(lm))
        if lms := getattr(part, "lms", None):
            part.lms = [bare(lm) for lm in lms]
    for _, predictor in copy.named_predictors():
        predictor.lm = bare(predictor.lm) if isinstance(predictor.lm, dspy.BaseLM) else predictor.lm
    lm = dspy.settings.lm
    return copy, bare(lm) if isinstance(lm, dspy.BaseLM) else None


def _pickles(lm: dspy.BaseLM | None) -> bool:
    try:
        cloudpickle.dumps(lm)
    except Exception:  # noqa: BLE001 (whatever a model of the user's own holds)
        return False
    return True


class _Bare:
    """Models without keys, each made once."""

    def __init__(self) -> None:
        self._made: dict[int, dspy.BaseLM] = {}

    def __call__(self, lm: dspy.BaseLM) -> dspy.BaseLM:
        if id(lm) not in self._made:
            know_lm(lm)
            options = getattr(lm, "kwargs", {})
            if any(options.get(name) for name in _SECRET):
                made: Any = lm.copy()
                made.kwargs = {name: value for name, value in made.kwargs.items() if name not in _SECRET}
                made.history = []
                self._made[id(lm)] = made
            else:
                self._made[id(lm)] = lm
        return self._made[id(lm)]


def _requirements() -> list[str]:
    """What a model needs; named, since MLflow would otherwise load it in another process to find out."""
    versions = []
    for name in _PACKAGES:
        try:
            versions.append(f"{name}=={version(name)}")
        except PackageNotFoundError:
            versions.append(name)
    return versions


@contextmanager
def _unchecked() -> Iterator[None]:
    """Without MLflow's comparison of the requirements with what is installed, from where ``_requirements`` has them.

    It lists the files of every installed package, which takes seconds, for a warning that cannot arise.
    """
    from mlflow.utils import environment

    name = "warn_dependency_requirement_mismatches"
    before = getattr(environment, name, None)
    try:
        if before is not None:
            setattr(environment, name, lambda *_: None)
        yield
    finally:
        if before is not None:
            setattr(environment, name, before)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the warning, once a model, that a pickle may run code when it is loaded, which the documents say."""
    loggers = [logging.getLogger(name) for name in ("dspy.primitives.base_module", "dspy.dsp.utils.settings", "mlflow")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
