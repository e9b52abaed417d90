"""The next trial of a study: where the sampler allows,
sampled from its trials in memory and written in one transaction.

Asked directly, a storage is read and written for every parameter, which takes longer than the sampling. Only within a
worker's turn.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from typing import Any

import dspy
import optuna
from optuna.trial import FrozenTrial, TrialState, create_trial

from .search_space import SearchSpace, setting_digest
from .study import DIGEST, WORKER, TunedStudy

_KEEP_NOTHING = (
    optuna.samplers.TPESampler,
    optuna.samplers.RandomSampler,
)  # others may keep a state of their own in the storage


def ask(
    study: TunedStudy, trials: Sequence[FrozenTrial], space: SearchSpace, program: dspy.Module, *, worker: str
) -> tuple[FrozenTrial, dspy.Module]:
    """The next trial, marked as this worker's, and its program: of a queued point,
    or of one that the study's sampler chooses.

    Args:
        study: the study, with the sampler that is to choose.
        trials: all its trials as they are now.
        space: what is chosen from.
        program: the program as it is.
        worker: this worker's name.
    """
    queued = any(trial.state == TrialState.WAITING for trial in trials)
    apart = type(study.sampler) in _KEEP_NOTHING and not queued
    asked = _in_memory(study, trials).ask() if apart else study.ask()
    made = space.apply(program, space.suggest(asked))
    marks = {WORKER: worker, DIGEST: setting_digest(made)}
    if apart:
        return study.tables.begin(_running(asked, marks)), made
    for name, value in marks.items():
        asked.set_user_attr(name, value)
    (own,) = (trial for trial in study.tables.look() if trial.number == asked.number)
    return own, made


class _Shown(optuna.storages.InMemoryStorage):
    """Shows the trials of another storage; the next one, which is asked of it, stays in memory."""

    def __init__(self, trials: Sequence[FrozenTrial]) -> None:
        super().__init__()
        self._shown = trials

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        return [trial for trial in self._shown if states is None or trial.state in states]

    def get_trial(self, trial_id: int) -> FrozenTrial:
        trial = super().get_trial(trial_id)
        trial.number = len(self._shown)  # a sampler leaves out the trial of the number that it is asked for
        return trial


def _in_memory(study: optuna.Study, trials: Sequence[FrozenTrial]) -> optuna.Study:
    """A study of the same trials and sampler."""
    storage = _Shown(trials)
    storage.create_new_study(study.directions, study.study_name)
    return optuna.Study(study_name=study.study_name, storage=storage, sampler=study.sampler)


def _running(asked: optuna.Trial, marks: Mapping[str, Any]) -> FrozenTrial:
    return create_trial(
        state=TrialState.RUNNING, params=asked.params, distributions=asked.distributions, user_attrs=dict(marks)
    )
