"""The Optuna study: opened or continued, checked against the program's space, leftovers of dead workers taken up, trials asked and told.

Ask and tell keep no heartbeat, so a killed worker leaves its trial RUNNING; it is marked as failed and its point is queued again, where the
scores it had already got wait in the store.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from dspy_fusion.programs import ConfigurationError

from .search_space import SearchSpace
from .study_store import StudyStore

SPACE, WORKER, DIGEST, RAN = "dspy_fusion_space", "worker", "program", "ran"
DROPPED = "dropped"
_FINISHED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)


def open_study(url: str, name: str, *, space: SearchSpace, sampler: optuna.samplers.BaseSampler, objectives: int) -> optuna.Study:
    """Opens or continues a study.

    Args:
        url: of the storage.
        name: of the study.
        space: the program's; a study that was begun with another one is refused.
        sampler: proposes points.
        objectives: 1 for quality alone, 2 for quality and cost.

    Raises:
        ConfigurationError: the storage cannot be opened, or the study is of another space or number of objectives.
    """
    directions = ["maximize", "minimize"][:objectives]
    try:
        storage = optuna.storages.RDBStorage(url, engine_kwargs={"connect_args": {"timeout": 60}} if url.startswith("sqlite") else None)
        study = optuna.create_study(study_name=name, storage=storage, sampler=sampler, directions=directions, load_if_exists=True)
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise ConfigurationError(f"cannot open the study {name!r} in {url!r}: {reason}; give the URL of a study or a new file") from error
    if len(study.directions) != objectives:
        raise ConfigurationError(f"the study {name!r} has {len(study.directions)} objectives, but {objectives} are wanted; give study= a new name")
    _check_space(study, name, space)
    return study


def take_up_leftovers(study: optuna.Study, store: StudyStore) -> int:
    """Marks the trials of dead workers as failed and queues their points again; returns how many."""
    taken = 0
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        if not store.is_alive(str(trial.user_attrs.get(WORKER, ":"))) and _tell(study, trial.number, TrialState.FAIL):
            study.enqueue_trial(dict(trial.params), user_attrs={"continues": trial.number})
            taken += 1
    return taken


def ask(study: optuna.Study, worker: str) -> optuna.Trial:
    """The next trial, marked as this worker's."""
    trial = study.ask()
    trial.set_user_attr(WORKER, worker)
    return trial


def finished(study: optuna.Study) -> list[FrozenTrial]:
    """The trials that ran to an end of their own: whole, dropped, or failed with a cause."""
    return [trial for trial in study.get_trials(deepcopy=False, states=_FINISHED) if trial.user_attrs.get(RAN)]


def under_way(study: optuna.Study, store: StudyStore) -> int:
    """How many trials living workers are at."""
    running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    return sum(store.is_alive(str(trial.user_attrs.get(WORKER, ":"))) for trial in running)


def tell_whole(study: optuna.Study, trial: optuna.Trial, quality: float, cost: float) -> None:
    """Ends a trial that was scored on all examples."""
    trial.set_user_attr(RAN, True)
    _constrain(trial, 0.0)
    study.tell(trial, [quality, cost][: len(study.directions)])


def tell_dropped(study: optuna.Study, trial: optuna.Trial, quality: float, cost: float, scored: int) -> None:
    """Ends a trial that was dropped after ``scored`` examples: it counts as infeasible, so it teaches the sampler and is never the best."""
    trial.set_user_attr(RAN, True)
    trial.set_user_attr(DROPPED, scored)
    _constrain(trial, 1.0)
    if len(study.directions) == 1:
        trial.report(quality, scored)
        study.tell(trial, state=TrialState.PRUNED)
    else:
        study.tell(trial, [quality, cost])


def tell_failed(study: optuna.Study, trial: optuna.Trial, cause: str) -> None:
    """Ends a trial that failed, with its cause."""
    trial.set_user_attr(RAN, True)
    trial.set_user_attr("cause", cause)
    study.tell(trial, state=TrialState.FAIL)


def give_back(study: optuna.Study, trial: optuna.Trial) -> None:
    """Ends a trial that was interrupted and queues its point again, so that another run goes on with it."""
    if _tell(study, trial.number, TrialState.FAIL):
        study.enqueue_trial(dict(trial.params), user_attrs={"continues": trial.number})


def _constrain(trial: optuna.Trial, value: float) -> None:
    trial.set_constraint("dropped", value)


def _tell(study: optuna.Study, number: int, state: TrialState) -> bool:
    """Whether this process ended the trial; another one may have been faster."""
    try:
        study.tell(number, state=state)
    except ValueError:
        return False
    return True


def _check_space(study: optuna.Study, name: str, space: SearchSpace) -> None:
    ours = json.loads(json.dumps(space.describe()))
    theirs = study.user_attrs.get(SPACE)
    if theirs is None:
        study.set_user_attr(SPACE, ours)
    elif theirs != ours:
        raise ConfigurationError(f"the study {name!r} was begun with another space: {_differences(theirs, ours)}; give study= a new name")


def _differences(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> str:
    parts = [f"{name} is only in the study" for name in theirs if name not in ours]
    parts += [f"{name} is only in the program" for name in ours if name not in theirs]
    for name in theirs:
        if name in ours and theirs[name] != ours[name]:
            changed = [f"{key} {theirs[name].get(key)!r} -> {ours[name].get(key)!r}" for key in ours[name]
                       if theirs[name].get(key) != ours[name].get(key)]  # fmt: skip
            parts.append(f"{name} ({', '.join(changed)})")
    return "; ".join(parts)
