"""The next trial of a study: a queued point, or one that the study's sampler chooses. Only within a worker's turn."""

from __future__ import annotations

import dspy
from optuna.trial import FrozenTrial

from .search_space import SearchSpace, setting_digest
from .study import DIGEST, WORKER, TunedStudy


def ask(study: TunedStudy, space: SearchSpace, program: dspy.Module, *, worker: str) -> tuple[FrozenTrial, dspy.Module]:
    """The next trial, marked as this worker's, and its program.

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
    (own,) = (trial for trial in study.look() if trial.number == asked.number)
    return own, made
