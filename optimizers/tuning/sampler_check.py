"""Whether a user's sampler can search a space at all, found out before a model is asked; and Optuna's log, quiet."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import optuna

from dspy_fusion.programs import ConfigurationError
from dspy_fusion.programs.calls.attempts import describe

from .search_space import SearchSpace

_REHEARSED = 12  # trials, by which a sampler has begun to model what it saw


def check_sampler(sampler: optuna.samplers.BaseSampler | None, space: SearchSpace, directions: Sequence[str]) -> None:
    """Whether a user's sampler can search the space: it is tried on a few made-up trials in memory."""
    if sampler is None:
        return
    study = _Rehearsal(directions, copy.deepcopy(sampler))
    with warnings.catch_warnings(), quiet_optuna():
        warnings.simplefilter("ignore")
        try:
            for place in range(_REHEARSED):
                trial = study.ask()
                space.suggest(trial)
                study.tell(trial, [float(place), float(-place)][: len(directions)])
                if study.over:
                    return
        except Exception as error:
            raise ConfigurationError(
                f"the sampler {type(sampler).__name__} cannot search this space with {len(directions)} objective(s):"
                f" {describe(error)}; give another sampler, or none"
            ) from error


class _Rehearsal(optuna.Study):
    """A study in memory that a sampler may stop."""

    def __init__(self, directions: Sequence[str], sampler: optuna.samplers.BaseSampler) -> None:
        self.over, storage = False, optuna.storages.InMemoryStorage()
        wanted = [optuna.study.StudyDirection[direction.upper()] for direction in directions]
        storage.create_new_study(wanted, "rehearsal")
        super().__init__("rehearsal", storage, sampler=sampler)

    def stop(self) -> None:
        self.over = True


@contextmanager
def quiet_optuna() -> Iterator[None]:
    """A block in which Optuna's own log says nothing but warnings: its studies and trials are told of by ours."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(max(before, optuna.logging.WARNING))
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)
