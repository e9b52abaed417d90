"""What an OptunaTuner is given, checked before anything is called; each check raises ``ConfigurationError``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import dspy
import optuna

from dspy_fusion.programs import ConfigurationError

from .search_space import SearchSpace, shows_candidates


def check_options(
    *,
    trials: int,
    objectives: tuple[str, ...],
    tolerance: float,
    racing_error: float,
    holdout: float,
    threads: int,
    sampler: object,
) -> None:
    """What the tuner is made with."""
    if trials < 1:
        raise ConfigurationError(f"trials must be at least 1, but got trials={trials!r}")
    if objectives not in (("quality", "cost"), ("quality",)):
        raise ConfigurationError(
            f"objectives must be ('quality', 'cost') or ('quality',), but got objectives={objectives!r}"
        )
    if tolerance < 0:
        raise ConfigurationError(f"tolerance must be at least 0, but got tolerance={tolerance!r}")
    if not 0 <= racing_error < 1 or not 0 <= holdout < 1:
        raise ConfigurationError(
            f"racing_error and holdout must be in [0, 1), but got {racing_error!r} and {holdout!r}"
        )
    if threads < 1:
        raise ConfigurationError(f"num_threads must be at least 1, but got num_threads={threads!r}")
    if sampler is not None and not isinstance(sampler, optuna.samplers.BaseSampler):
        raise ConfigurationError(
            f"sampler must be an Optuna sampler such as TPESampler(seed=0), but got sampler={sampler!r}"
        )


def check_given(student: Any, examples: Sequence[Any]) -> None:
    """What ``compile`` is given: a module, and examples that say what of them is input."""
    if not isinstance(student, dspy.Module):
        raise ConfigurationError(f"compile() tunes a dspy.Module, but got a {type(student).__name__}")
    for place, example in enumerate(examples):
        if not isinstance(example, dspy.Example):
            raise ConfigurationError(
                f"examples must be dspy.Examples, but number {place} is a {type(example).__name__}"
            )
        if example._input_keys is None:
            raise ConfigurationError(
                f"example number {place} does not say which of its fields are inputs; call its with_inputs(...)"
            )


def check_task_texts(program: dspy.Module, space: SearchSpace) -> None:
    """Whether a task that is to be tuned without a proposing model has texts to choose from."""
    parts = dict(program.named_predictors())
    own = {path: texts for path, texts in space.instructions.items() if not shows_candidates(parts[path])}
    if all(len(texts) < 2 for texts in own.values()):
        raise ConfigurationError(
            f"tune_task has nothing to choose from; give instructions={{path: [...]}} for one of {sorted(own)}, or a"
            " proposer"
        )
