"""Demos for fusors out of pools whose fused answer was right, as DSPy's BootstrapFewShot makes them."""

from __future__ import annotations

import contextlib
import io
import logging
import random
from collections.abc import Sequence
from typing import Any

import dspy

from dspy_fusion.programs import CandidateBank
from dspy_fusion.programs.redaction import described, redacting
from dspy_fusion.programs.sampling_program import SamplingProgram

from .scores.metric import Metric, MetricError, further_arguments, judged
from .search_space import SearchSpace

logger = redacting(logging.getLogger(__name__))
_LONGEST = 4  # demos in a set


def with_bootstrapped_demos(
    space: SearchSpace,
    program: dspy.Module,
    trainset: Sequence[dspy.Example],
    metric: Metric,
    *,
    sets: int,
    bank: CandidateBank,
    seed: int,
) -> SearchSpace:
    """The space with demo sets to choose from, for each fusor that has none of its own.

    Every set is what ``dspy.BootstrapFewShot`` leaves with a fusor on the training examples in another order: inputs
    with the candidates that were there, and the fused answer, of examples on which that was right. Pools come from the
    bank where it has them.

    Args:
        space: of the program.
        program: as it is.
        trainset: examples that no trial is scored on.
        metric: what makes an answer right: a score of at least 1.
        sets: how many sets.
        bank: which answers the models' calls and keeps them.
        seed: of the orders.
    """
    paths = [path for path in space.instructions if f"demos:{path}" not in {d.name for d in space.dimensions}]
    made: dict[str, list[list[Any]]] = {path: [] for path in paths}
    for number in range(sets):
        order = list(trainset)
        random.Random(f"{seed} {number}").shuffle(order)
        compiled = _bootstrapped(program, order, metric, bank)
        predictors = dict(compiled.named_predictors()) if compiled else {}
        for path in paths:
            demos = [demo for demo in predictors[path].demos if demo.get("augmented")] if path in predictors else []
            if demos and demos not in made[path]:
                made[path].append(demos)
    for path, traces in made.items():
        space = space.with_demos(path, traces)
    return space


def _bootstrapped(
    program: dspy.Module, examples: list[dspy.Example], metric: Metric, bank: CandidateBank
) -> dspy.Module | None:
    student = program.deepcopy()
    for _, part in student.named_sub_modules(SamplingProgram):
        if isinstance(part, SamplingProgram) and part.bank is None:
            part.bank = bank
    further = further_arguments(metric)

    def is_right(example: dspy.Example, prediction: dspy.Prediction, trace: Any = None) -> bool:
        try:
            return judged(metric, further, example, prediction)[0] >= 1.0
        except MetricError:
            return False

    boots = dspy.BootstrapFewShot(metric=is_right, max_bootstrapped_demos=_LONGEST, max_labeled_demos=0)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):  # its bars
            return boots.compile(student, trainset=examples)
    except Exception as error:  # noqa: BLE001 (a study without these demos is a study all the same; the log says so)
        logger.warning("no demos were made: %s", described(error))
        return None
