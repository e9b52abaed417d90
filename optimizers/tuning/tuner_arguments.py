"""What an OptunaTuner is given, checked before anything is called; each check raises ``ConfigurationError``."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import dspy
import optuna

from dspy_fusion.programs import ConfigurationError

from .effort import Effort
from .objective import example_digest
from .search_space import SearchSpace, shows_candidates


def check_options(
    effort: Effort, *, objectives: tuple[str, ...], tolerance: float, threads: int, sampler: object
) -> None:
    """What the tuner is made with."""
    if effort.trials < 1:
        raise ConfigurationError(f"trials must be at least 1, but got trials={effort.trials!r}")
    if objectives not in (("quality", "cost"), ("quality",)):
        raise ConfigurationError(
            f"objectives must be ('quality', 'cost') or ('quality',), but got objectives={objectives!r}"
        )
    if tolerance < 0:
        raise ConfigurationError(f"tolerance must be at least 0, but got tolerance={tolerance!r}")
    if not 0 <= effort.racing_error < 1 or not 0 <= effort.holdout < 1:
        raise ConfigurationError(
            f"racing_error and holdout must be in [0, 1), but got {effort.racing_error!r} and {effort.holdout!r}"
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
    own = {path: texts for path, texts in space.instructions.items() if not shows_candidates(parts[path], path)}
    if all(len(texts) < 2 for texts in own.values()):
        raise ConfigurationError(
            f"tune_task has nothing to choose from; give instructions={{path: [...]}} for one of {sorted(own)}, or a"
            " proposer"
        )


def split(
    examples: Sequence[dspy.Example], testset: Sequence[dspy.Example] | None, *, holdout: float, seed: int
) -> tuple[list[dspy.Example], list[dspy.Example]]:
    """Which examples trials are scored on, in a seeded order without repeats, and which no trial sees."""
    by_key = {example_digest(example): example for example in examples}
    order = sorted(by_key)
    random.Random(seed).shuffle(order)
    kept_back = 0 if testset is not None else round(len(order) * holdout)
    scored_on = [by_key[key] for key in order[: len(order) - kept_back]]
    if len(scored_on) < 2:
        raise ConfigurationError(
            f"a study scores its trials on at least 2 examples, but got {len(scored_on)}; give a larger valset"
        )
    if testset is None:
        return scored_on, [by_key[key] for key in order[len(order) - kept_back :]]
    if both := sum(example_digest(example) in by_key for example in testset):
        raise ConfigurationError(
            f"{both} example(s) of the testset are in the valset too; take them out of one of them"
        )
    return scored_on, list(testset)
