"""The Optuna study: opened or continued, its trials asked and told.

It is checked against the program's space, and what dead workers left is taken up.

Ask and tell keep no heartbeat, so a killed worker leaves its trial RUNNING. Its point is queued again, where the scores
that it had already got wait in the store, and then it is marked as failed: in this order, so that a second kill loses
nothing.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import dspy
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from dspy_fusion.programs import ConfigurationError
from dspy_fusion.programs.banks.databases import cause, listen, patiently, without_password

from .dimensions import Dimension
from .scores.workers import Workers
from .search.past_trials import CAUSE, DROPPED, STEP
from .search_space import SearchSpace, setting_digest
from .study_begun import Begun, check_begun

WORKER, DIGEST = "worker", "program"
_CONTINUES = "continues"


class TunedStudy(optuna.Study):
    """An Optuna study that asks for, reads and ends trials across processes.

    Attributes:
        storage: of its trials, which remembers those that have ended.
        exhausted: whether its sampler has said that there is nothing left to try.
    """

    def __init__(self, name: str, storage: optuna.storages.RDBStorage) -> None:
        self.storage = optuna.storages.get_storage(storage)
        super().__init__(study_name=name, storage=self.storage)
        self.exhausted = False

    def stop(self) -> None:
        """What samplers of finitely many points call after the last."""
        self.exhausted = True

    def look(self) -> list[FrozenTrial]:
        """The trials of all workers as they are now, by number."""
        return self.get_trials(deepcopy=False)

    def end(self, trial: FrozenTrial, ended: FrozenTrial) -> bool:
        """Ends a trial, its sampler told first, as Optuna does; False where it had been ended already."""
        self.sampler.after_trial(self, trial, ended.state, ended.values)
        return self.close(trial, ended)

    def close(self, trial: FrozenTrial, ended: FrozenTrial) -> bool:
        """Gives a trial the attributes, steps, values and at last the state of ``ended``.

        False where someone else has ended it.
        """
        key = self.storage.get_trial_id_from_study_id_trial_number(self._study_id, trial.number)
        try:
            for name, value in ended.system_attrs.items():
                self.storage.set_trial_system_attr(key, name, value)
            for name, value in ended.user_attrs.items():
                self.storage.set_trial_user_attr(key, name, value)
            for step, value in ended.intermediate_values.items():
                self.storage.set_trial_intermediate_value(key, step, value)
            return self.storage.set_trial_state_values(key, ended.state, ended.values)
        except optuna.exceptions.UpdateFinishedTrialError:
            return False


def open_study(url: str, name: str, *, begun: Begun, objectives: Sequence[str]) -> TunedStudy:
    """Opens or continues a study.

    Args:
        url: of the storage.
        name: of the study.
        begun: what it is a study of; one that was begun with something else is refused.
        objectives: ``quality``, and perhaps what is to be small beside it.

    Raises:
        ConfigurationError: the storage cannot be opened, or the study is of another space, program, examples or number
            of objectives.
    """
    directions: list[Any] = ["maximize", "minimize"][: len(objectives)]
    try:
        storage = patiently(lambda: _storage(url))
        patiently(
            lambda: optuna.create_study(study_name=name, storage=storage, directions=directions, load_if_exists=True)
        )
        study = TunedStudy(name, storage)
    except Exception as error:
        raise ConfigurationError(
            f"cannot open the study {name!r} in {without_password(url)!r}: {cause(error)}; give the URL of a study or a"
            " new file"
        ) from error
    present = [direction.name.lower() for direction in study.directions]
    if len(present) != len(objectives):
        raise ConfigurationError(
            f"the study {name!r} has {len(present)} objectives, but {len(objectives)} are wanted; give study= a new"
            " name"
        )
    if present != directions:
        raise ConfigurationError(
            f"the study {name!r} is to {present} its objectives, but not {directions}; give study= a new name"
        )
    check_begun(study, name, begun)
    if study.metric_names is None:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # Optuna calls it experimental; without it, optuna-dashboard numbers the objectives
            study.set_metric_names(list(objectives))
    return study


def ask(study: TunedStudy, space: SearchSpace, program: dspy.Module, *, worker: str) -> tuple[FrozenTrial, dspy.Module]:
    """The next trial, marked as this worker's, and its program.

    Of a queued point, or of one that the study's sampler chooses. Only within a worker's turn.

    Args:
        study: the study, with the sampler that is to choose.
        space: what is chosen from.
        program: the program as it is.
        worker: this worker's name.
    """
    asked = study.ask()
    made = space.apply(program, space.suggest(asked))
    asked.set_user_attr(WORKER, worker)
    asked.set_user_attr(DIGEST, setting_digest(made))
    return study.storage.get_trial(asked._trial_id), made


def distributions(space: SearchSpace) -> dict[str, BaseDistribution]:
    """What Optuna draws from when a trial suggests a point of the space, by name, with the texts as they are now."""
    return {dimension.name: _distribution(dimension, space.length(dimension)) for dimension in space.dimensions}


def _distribution(dimension: Dimension, length: int) -> BaseDistribution:
    if dimension.kind == "choice":
        return CategoricalDistribution(dimension.choices)
    if dimension.kind == "float":
        return FloatDistribution(dimension.low, dimension.high, step=dimension.step)
    return IntDistribution(int(dimension.low), int(dimension.high) if dimension.kind == "int" else max(0, length - 1))


def take_up_leftovers(study: TunedStudy, trials: Sequence[FrozenTrial], workers: Workers) -> int:
    """Queues the points of dead workers' trials again and marks those as failed; returns how many.

    Only within a worker's turn.
    """
    leftovers = [trial for trial in under_way(trials) if not workers.is_alive(str(trial.user_attrs.get(WORKER, ":")))]
    for trial in leftovers:
        give_back(study, trial)
    return len(leftovers)


def finished(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Those of this library that ran to an end of their own: whole, dropped, or failed with a cause."""
    ended = [trial for trial in trials if trial.state.is_finished() and DIGEST in trial.user_attrs]
    return [trial for trial in ended if trial.state != TrialState.FAIL or CAUSE in trial.user_attrs]


def under_way(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Those that workers are at; once leftovers are taken up, all of those live."""
    return [trial for trial in trials if trial.state == TrialState.RUNNING]


def whole(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Those that were scored on all examples."""
    return [
        trial for trial in finished(trials) if trial.state == TrialState.COMPLETE and DROPPED not in trial.user_attrs
    ]


def tell_whole(
    study: TunedStudy, trial: FrozenTrial, values: Sequence[float], limits: Mapping[str, float] | None = None
) -> bool:
    """Ends a trial that was scored on all examples, with how far it is beyond each limit.

    False where another worker took it for dead and has ended it.
    """
    ended = create_trial(
        state=TrialState.COMPLETE,
        values=list(values)[: len(study.directions)],
        constraints=dict(limits) if limits else None,
    )
    return study.end(trial, ended)


def tell_dropped(study: TunedStudy, trial: FrozenTrial, values: Sequence[float], scored: int, shortfall: float) -> bool:
    """Ends a trial that was dropped after ``scored`` examples; False as in :func:`tell_whole`.

    It counts as infeasible, the more so the larger its ``shortfall``: so it teaches the sampler and is never the best.
    """
    marks, constraints = {DROPPED: scored}, {DROPPED: shortfall}
    if len(study.directions) > 1:
        ended = create_trial(state=TrialState.COMPLETE, values=list(values), user_attrs=marks, constraints=constraints)
    else:
        ended = create_trial(
            state=TrialState.PRUNED,
            value=values[0],
            intermediate_values={scored: values[0]},
            user_attrs=marks,
            constraints=constraints,
        )
    return study.end(trial, ended)


def tell_failed(study: TunedStudy, trial: FrozenTrial, cause: str) -> bool:
    """Ends a trial that failed, with its cause; False as in :func:`tell_whole`."""
    return study.end(trial, create_trial(state=TrialState.FAIL, user_attrs={CAUSE: cause}))


def give_back(study: TunedStudy, trial: FrozenTrial) -> None:
    """Queues the point of a trial that was interrupted, so that another run goes on with it, and marks it as failed."""
    trials = study.look()
    (left,) = (other for other in trials if other.number == trial.number)
    queued = any(other.user_attrs.get(_CONTINUES) == trial.number for other in trials)
    if not queued and CAUSE not in left.user_attrs:
        marks = {_CONTINUES: left.number, STEP: left.user_attrs.get(STEP, "")}
        study.enqueue_trial({**left.system_attrs.get("fixed_params", {}), **left.params}, user_attrs=marks)
    study.close(left, create_trial(state=TrialState.FAIL))


def _storage(url: str) -> optuna.storages.RDBStorage:
    storage = optuna.storages.RDBStorage(
        url, engine_kwargs={"connect_args": {"timeout": 60}} if url.startswith("sqlite") else None
    )
    listen(storage.engine)
    return storage
