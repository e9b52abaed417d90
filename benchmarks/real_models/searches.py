"""The searches that are compared on a real model: a study, random search, and MIPROv2."""

from __future__ import annotations

import io
import logging
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from typing import Any

import dspy
import optuna

from benchmarks.counted import library_writer
from dspy_fusion.experiments.tasks import Task
from dspy_fusion.optimizers import Budget, OptunaTuner
from dspy_fusion.programs import CandidateBank, Vote

from .choosing import INSTRUCTIONS, Choosing
from .plan import MBPP, TEMPERATURE


@dataclass(frozen=True)
class Halves:
    """The problems of a study.

    Attributes:
        task: what is asked.
        lm: the recorded model.
        most: the largest number of answers.
        seen: what is tuned on.
        unseen: what is held out.
        trials: of a study.
    """

    task: Task
    lm: dspy.LM
    most: int
    seen: Sequence[dspy.Example]
    unseen: Sequence[dspy.Example]
    trials: int

    def program(self, **setting: Any) -> Choosing:
        """The program at a setting."""
        return Choosing(self.task, self.lm, most=self.most, **setting)


def studied(halves: Halves, *, exclude: Sequence[str], seed: int, requests: int | None = None) -> tuple[Choosing, int]:
    """What a study returns and the requests that it made; with ``requests``, of random search with as many, or as many
    as one trial may take.
    """
    one_trial = halves.most * (len(halves.seen) + len(halves.unseen))
    with tempfile.TemporaryDirectory() as place, closing(CandidateBank(f"{place}/bank.db")) as bank:
        tuner = OptunaTuner(
            lambda example, prediction, trace=None: halves.task.metric(example, prediction),
            trials=halves.trials,
            storage=f"sqlite:///{place}/tuning.db",
            sampler=None if requests is None else optuna.samplers.RandomSampler(seed=seed),
            racing_error=0.2 if requests is None else 0,
            budget=Budget(calls=requests and max(requests, one_trial)),
            exclude=exclude,
            seed=seed,
        )
        program = Choosing(halves.task, halves.lm, bank, most=halves.most)
        made: Any = tuner.compile(program, valset=list(halves.seen), testset=list(halves.unseen))
        return halves.program(**made.setting), made.tuning_report.spent.calls


def by_mipro(halves: Halves, seed: int) -> tuple[str, int]:
    """The instruction that MIPROv2 takes for a single answer, its proposing model knowing ours; and its requests."""
    asked = 0

    def metric(example: dspy.Example, prediction: dspy.Prediction, trace: object = None) -> float:
        nonlocal asked
        asked += 1
        return halves.task.metric(example, prediction)

    optimizer = dspy.MIPROv2(
        metric=metric,
        auto=None,
        num_candidates=len(INSTRUCTIONS),
        prompt_model=library_writer(INSTRUCTIONS),
        task_model=halves.lm,
        max_bootstrapped_demos=0,
        max_labeled_demos=0,
        num_threads=1,
        seed=seed,
    )
    plain = dict.fromkeys(
        ("program_aware_proposer", "data_aware_proposer", "tip_aware_proposer", "fewshot_aware_proposer"), False
    )
    student = Vote(halves.task.program(MBPP.instructions), n=1, lms=[halves.lm], temperature=TEMPERATURE)
    with _silent():
        compiled: Any = optimizer.compile(
            student, trainset=list(halves.seen), valset=list(halves.seen), num_trials=6, minibatch=False, **plain
        )
    (predictor,) = compiled.program.predictors()
    return predictor.signature.instructions, asked


@contextmanager
def _silent() -> Iterator[None]:
    """Without what DSPy's optimizers print and log."""
    logging.disable(logging.CRITICAL)
    try:
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            yield
    finally:
        logging.disable(logging.NOTSET)
