"""Tuning how to choose on a real model, replayed: ``python -m benchmarks.real_models --tune``.

The program draws ``n`` answers of the 0.5B to an MBPP problem and takes one of them in one of five ways. Half of the
recorded problems are tuned on, the other half is held out. What needs other draws than those that were recorded, such
as another instruction or temperature, is not among the choices.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dspy
import optuna

from dspy_fusion.experiments.presentation.text_table import TextTable
from dspy_fusion.experiments.statistics.intervals import Interval, paired_difference
from dspy_fusion.experiments.tasks import Task
from dspy_fusion.optimizers import Budget, OptunaTuner
from dspy_fusion.programs import BestOfN, CodeAgreement, CodeTests, Hyperparameter, Likelihood, Vote
from dspy_fusion.programs.scorers.code_process import runs_remembered

from .plan import MBPP, TEMPERATURE
from .recording import recorded, task_of
from .replaying import RECORDINGS, opened

WAYS = ("first", "vote", "likelihood", "visible test", "equal outputs")


class Choosing(dspy.Module):
    """Draws answers and settles on one; both how many and how can be tuned.

    Args:
        task: what is asked.
        lm: the model.
        n: how many answers.
        way: one of ``WAYS``.
    """

    def __init__(self, task: Task, lm: dspy.LM, *, n: int = 1, way: str = "first") -> None:
        super().__init__()
        self.n = Hyperparameter("n", n, low=1, search=(1, MBPP.n))
        self.way = Hyperparameter("way", way, choices=WAYS)
        self._task, self._lm = task, lm

    def __deepcopy__(self, memo: dict[int, Any]) -> Choosing:
        return Choosing(self._task, self._lm, n=self.n.value, way=self.way.value)

    def forward(self, **inputs: Any) -> dspy.Prediction:
        """The answer that the way takes among the first n."""
        return self._program()(**inputs)

    def _program(self) -> dspy.Module:
        program, tests = self._task.program(MBPP.instructions), self._task.visible_tests or (lambda inputs: ["pass"])
        shared: dict[str, Any] = {"lms": [self._lm], "temperature": TEMPERATURE}
        n, way = self.n.value, self.way.value
        if way in ("first", "vote"):
            return Vote(program, n=1 if way == "first" else n, normalize=self._task.vote_key, **shared)
        scorers = {
            "likelihood": Likelihood,
            "visible test": lambda: CodeTests(tests),
            "equal outputs": lambda: CodeAgreement(tests),
        }
        return BestOfN(program, n=n, scorer=scorers[way](), **shared)


def tune(count: int, *, trials: int = 24, seed: int = 0, folder: Path = RECORDINGS) -> list[TextTable]:
    """Tunes on every second problem, and says what it gained on the others; the surface beside it."""
    recording, task = opened(MBPP, folder), task_of(MBPP)
    lm = recorded(MBPP, recording)
    examples = task.examples("test", count)
    seen, unseen = examples[::2], examples[1::2]
    with dspy.context(adapter=task.adapter()), runs_remembered():
        untuned = Choosing(task, lm)
        results = {
            "OptunaTuner": _tuned(untuned, task, seen, unseen, trials=trials, seed=seed),
            "random search": _tuned(untuned, task, seen, unseen, trials=trials, seed=seed, random=True),
        }
        rows = [_row("as it was", untuned, untuned, task, unseen, 0)]
        rows += [_row(name, untuned, program, task, unseen, calls) for name, (program, calls) in results.items()]
        surface = [
            _point(task, lm, way, n, seen, unseen) for way in WAYS for n in (1, 2, 4, 8) if way != "first" or n == 1
        ]
    recording.check_complete()
    head = ("program", "way", "n", "held out %", "against the untuned", "calls replayed")
    return [
        TextTable(f"{len(seen)} problems tuned on, {len(unseen)} held out", head, tuple(rows)),
        TextTable("the whole surface", ("way", "n", "tuned on %", "held out %"), tuple(surface)),
    ]


def _tuned(
    program: Choosing,
    task: Task,
    seen: Sequence[dspy.Example],
    unseen: Sequence[dspy.Example],
    *,
    trials: int,
    seed: int,
    random: bool = False,
) -> tuple[Any, int]:
    with tempfile.TemporaryDirectory() as place:
        tuner = OptunaTuner(
            lambda example, prediction, trace=None: task.metric(example, prediction),
            trials=trials,
            storage=f"sqlite:///{place}/tuning.db",
            sampler=optuna.samplers.RandomSampler(seed=seed) if random else None,
            racing_error=0 if random else 0.2,
            budget=Budget(),
            seed=seed,
        )
        made: Any = tuner.compile(program, valset=list(seen), testset=list(unseen))
    return made, made.tuning_report.spent.calls


def _scores(program: dspy.Module, task: Task, examples: Sequence[dspy.Example]) -> dict[tuple[str, int], float]:
    return {(str(example.id), 0): _score(program, task, example) for example in examples}


def _score(program: dspy.Module, task: Task, example: dspy.Example) -> float:
    try:
        return task.metric(example, program(**example.inputs()))
    except Exception:  # noqa: BLE001 (no answer is an answer that is wrong)
        return 0.0


def _row(
    name: str, before: dspy.Module, program: Any, task: Task, unseen: Sequence[dspy.Example], calls: int
) -> tuple[str, ...]:
    scores = _scores(program, task, unseen)
    gain: Interval = paired_difference(scores, _scores(before, task, unseen))
    text = "" if program is before else f"{100 * gain.mean:+.1f} [{100 * gain.low:+.1f}, {100 * gain.high:+.1f}]"
    mean = sum(scores.values()) / len(scores)
    return name, program.way.value, str(program.n.value), f"{100 * mean:.1f}", text, str(calls)


def _point(
    task: Task, lm: dspy.LM, way: str, n: int, seen: Sequence[dspy.Example], unseen: Sequence[dspy.Example]
) -> tuple[str, ...]:
    program = Choosing(task, lm, n=n, way=way)
    means = [sum(_scores(program, task, some).values()) / len(some) for some in (seen, unseen)]
    return way, str(n), *(f"{100 * mean:.1f}" for mean in means)
