"""What ``dspy-fusion serve`` serves.

A program from a file, a study's folder or an MLflow run, and this machine's models by name.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import dspy

from dspy_fusion.programs.errors import ConfigurationError, RecordError
from dspy_fusion.programs.fusing_program import FusingProgram
from dspy_fusion.programs.json_text import read_json
from dspy_fusion.programs.saving.program_file import PROGRAM_FILE
from dspy_fusion.serving.catalogue.models import GGUF_SUFFIX, ModelCatalogue
from dspy_fusion.serving.checkpoints import PREFIX as CHECKPOINT_PREFIX
from dspy_fusion.serving.embedded import PREFIX, SUFFIX
from dspy_fusion.serving.endpoint.saved_program import KEY, load_program, read_state, restore
from dspy_fusion.serving.endpoint.served_model import ServedModel
from dspy_fusion.serving.endpoint.served_program import ServedProgram
from dspy_fusion.serving.local import PREFIX as LOCAL_PREFIX

from ..own_tasks.adapters import ADAPTERS
from ..own_tasks.own_examples import is_own_data
from ..plans.comparison_config import CompareConfig
from ..plans.own_programs import program_of
from ..plans.strategies import model_names, planned
from ..plans.strategy_programs import Site, build
from ..tasks import load_task
from ..tasks.named_objects import is_named
from .tracking import connect, without_password

_PICKLE = "program.pkl"  # as DSPy calls it
_STUDY = "tuning.json"  # as a study's folder and its MLflow run have them
_FIRST_N = 5  # as a study begins, where its configuration does not say; the state says what it came to


def served_program(
    path: Path,
    catalogue: ModelCatalogue,
    *,
    name: str = "",
    answer_field: str | None = None,
    factory: str = "",
    allow_pickle: bool = False,
    lm: str = "",
    fusor_lm: str = "",
) -> ServedProgram:
    """The program of a file, of a folder of a study or a fine-tuning, or of a whole program that DSPy saved.

    Args:
        path: what ``save_program`` or a program's own ``save`` wrote, a folder with a ``program.json``, or that file;
            with ``factory`` any state that DSPy saved.
        catalogue: where the models come from.
        name: what clients call it; empty takes the file's own name for it, or the folder's.
        answer_field: the output field that is the answer's text; None takes the only one, or the one called ``answer``.
        factory: ``module:function`` that makes the program whose state the file holds.
        allow_pickle: whether the pickle of a folder may be read, which runs what its writer put there; without it the
            ``program.json`` beside it is.
        lm: the name of a model that draws its candidates instead of its own; :func:`with_models` says more.
        fusor_lm: the name of a model that writes its answers instead.

    Raises:
        ConfigurationError: the file cannot be read, or what it says cannot be built.
    """
    if path.is_dir() and _is_pickled(path, allow_pickle=allow_pickle) and not factory:
        whole = _whole_program(path, allow_pickle=allow_pickle)
        adapter = whole.trained.adapter if isinstance(whole, FusingProgram) else None
        return ServedProgram(name or path.resolve().name, whole, adapter=adapter, answer_field=answer_field)
    file = _in_folder(path) if path.is_dir() else path
    state = read_state(file)
    if factory:
        program, adapter = _restored(_made(factory), state, file), _adapter_of(file.with_name(_STUDY))
        return ServedProgram(name or file.stem, program, adapter=adapter, answer_field=answer_field)
    if KEY not in state and (study := file.with_name(_STUDY)).is_file():
        program, adapter = _of_study(study, catalogue)
        return ServedProgram(
            name or file.parent.name, _restored(program, state, file), adapter=adapter, answer_field=answer_field
        )
    saved = load_program(file, catalogue, lm=lm, fusor_lm=fusor_lm)
    return ServedProgram(name or saved.name, saved.program, adapter=saved.adapter, answer_field=answer_field)


def program_of_run(
    run_id: str, tracking_uri: str, catalogue: ModelCatalogue, *, name: str = "", answer_field: str | None = None
) -> ServedProgram:
    """The program that an MLflow run holds as ``program.json``,
    beside a study's ``tuning.json`` or described by itself.

    Raises:
        RecordError: the store cannot be reached, or the run holds no program.
        ConfigurationError: what it holds cannot be built.
    """
    with tempfile.TemporaryDirectory() as folder:
        try:
            client = connect(tracking_uri)
            held = {item.path for item in client.list_artifacts(run_id)}
            for wanted in (PROGRAM_FILE, _STUDY):
                if wanted in held:
                    client.download_artifacts(run_id, wanted, folder)
        except Exception as error:
            reason = without_password(" ".join(f"{type(error).__name__}: {error}".split()))[:200]
            raise RecordError(f"cannot read the run {run_id} at {without_password(tracking_uri)}: {reason}") from error
        if PROGRAM_FILE not in held:
            raise RecordError(
                f"the run {run_id} holds no {PROGRAM_FILE}; it holds {', '.join(sorted(held)) or 'nothing'}"
            )
        return served_program(Path(folder), catalogue, name=name or f"run-{run_id[:8]}", answer_field=answer_field)


def with_models(served: ServedProgram, catalogue: ModelCatalogue, *, lm: str = "", fusor_lm: str = "") -> ServedProgram:
    """The same program with models by name: ``lm`` draws the candidates, and writes the answer where no ``fusor_lm``
    is named and the program has none. What is empty leaves the program's own.

    Raises:
        ConfigurationError: a name is unknown, the program has no fusor, or it is left without a model.
    """
    program = served.program
    if fusor_lm and not isinstance(program, FusingProgram):
        raise ConfigurationError(f"--fusor-lm {fusor_lm}: the program is a {type(program).__name__}, without a fusor")
    if lm:
        models: list[dspy.BaseLM] = [catalogue.lm(lm)]
        program.lms = models
    if isinstance(program, FusingProgram) and (fusor_lm or (lm and program.fusor_lm is None)):
        program.fusor_lm = catalogue.lm(fusor_lm or lm)
    has_own = program.lms or any(predictor.lm is not None for predictor in program.program.predictors())
    if not has_own and program.program.predictors() and dspy.settings.lm is None:
        raise ConfigurationError(f"the program {served.name!r} has no models of its own; name one with --lm")
    if isinstance(program, FusingProgram) and program.fusor_lm is None and dspy.settings.lm is None:
        raise ConfigurationError(f"the program {served.name!r} has no fusor_lm; name one with --fusor-lm")
    return served


def served_models(names: Sequence[str], catalogue: ModelCatalogue) -> list[ServedModel]:
    """Embedded and local models by name, each called as the catalogue calls it, or as its file.

    Raises:
        ConfigurationError: a name is unknown, or is that of a model that answers elsewhere already.
    """
    served = []
    for name in names:
        entry = catalogue.entry(name)
        if not entry.is_here:
            raise ConfigurationError(
                f"{name!r} is no model of this machine: it answers at an address of its own; ask it there"
            )
        known = name.removeprefix(PREFIX).removeprefix(LOCAL_PREFIX).removeprefix(CHECKPOINT_PREFIX)
        served.append(ServedModel(Path(known).name.removesuffix(SUFFIX).removesuffix(GGUF_SUFFIX), entry.lm()))
    return served


def _is_pickled(path: Path, *, allow_pickle: bool) -> bool:
    """Whether a folder's pickle is what is to be read: where it may be, or where there is nothing else."""
    return (path / _PICKLE).is_file() and (allow_pickle or not (path / PROGRAM_FILE).is_file())


def _whole_program(path: Path, *, allow_pickle: bool) -> dspy.Module:
    if not allow_pickle:
        raise ConfigurationError(
            f"{path} holds a whole program as a pickle, and reading one runs what its writer put there; where it is"
            " yours, say --allow-pickle"
        )
    try:
        return dspy.load(str(path), allow_pickle=True)
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise ConfigurationError(f"cannot read the whole program in {path}: {reason}") from error


def _in_folder(folder: Path) -> Path:
    if not (file := folder / PROGRAM_FILE).is_file():
        held = ", ".join(sorted(item.name for item in folder.iterdir())[:8]) or "nothing"
        raise ConfigurationError(
            f"{folder} holds no {PROGRAM_FILE}, as the folders of studies and fine-tunings do; it holds {held}"
        )
    return file


def _of_study(path: Path, catalogue: ModelCatalogue) -> tuple[dspy.Module, dspy.Adapter]:
    from .tuning_config import TuningConfig  # needs Optuna, which nothing else here does

    try:
        about = read_json(path.read_text(encoding="utf-8"))["config"]
        table = dict(about)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RecordError(f"{path} is no study's: {type(error).__name__}: {error}") from error
    config = TuningConfig.parse(table, where=str(path))
    if named := next((text for text in (config.task, config.program.program) if is_named(text)), ""):
        raise ConfigurationError(
            f"{path} names {named}, which a study's folder may not have imported; say it yourself, with --factory"
        )
    if is_own_data(config.data):
        raise ConfigurationError(
            f"{path} is a study on rows of your own, {config.data}; name its program with --factory"
        )
    task, first_n = load_task(config.task), config.program.n or _FIRST_N
    comparison = CompareConfig(
        config.task, (config.program,), pools=config.pools, n=first_n, temperature=config.temperature
    )
    (strategy, *_) = planned(comparison)
    lms = {name: catalogue.lm(name) for name in model_names((strategy,))}
    return build(strategy, Site(task, task.instructions, lms, None, 0)), task.adapter()


def _restored(program: dspy.Module, state: Mapping[str, Any], path: Path) -> dspy.Module:
    try:
        restore(program, state)
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}: {error}") from error
    return program


def _made(factory: str) -> dspy.Module:
    try:
        return program_of(factory)
    except ConfigurationError as error:
        raise ConfigurationError(
            f"--factory must name a function without arguments, as module:function; {error}"
        ) from error


def _adapter_of(study: Path) -> dspy.Adapter | None:
    """The adapter that a study's configuration names; None where it names none."""
    try:
        name = json.loads(study.read_text(encoding="utf-8"))["config"].get("adapter", "")
    except (OSError, ValueError, KeyError, AttributeError):
        return None
    return ADAPTERS[name]() if name in ADAPTERS else None
