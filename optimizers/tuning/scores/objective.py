"""Objective: a program's score and cost on examples, in one shared order, remembered in the study's store."""

from __future__ import annotations

import asyncio
import hashlib
import json
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed, wait
from contextlib import suppress
from contextvars import copy_context
from dataclasses import replace

import dspy

from dspy_fusion.programs import CandidateBank, PooledPrediction, Usage
from dspy_fusion.programs.calls.interrupts import given_up_when_interrupted
from dspy_fusion.programs.sampling_program import SamplingProgram
from dspy_fusion.programs.tasks.signatures import plain

from .answering import answered
from .budget import Ledger, Price
from .metric import Judge, Measure, Metric, MetricError
from .study_store import Outcome, StudyStore, Totals

_UNJUDGED = "unjudged"
_WAIT_SECONDS = 0.2  # for which outcomes that took no call may wait to be kept together
_MATCH_SECONDS = 1.0  # between two looks at what other workers used up


class Objective:
    """Scores programs on examples.

    Args:
        metric: ``metric(example, prediction)``, with DSPy's ``trace`` and GEPA's further arguments if it has them; it
            returns a number, a bool, or a ``dspy.Prediction`` (or a mapping) with ``score`` and perhaps ``feedback``
            and further measures.
        price: what an answer costs.
        store: where outcomes are kept.
        bank: where every answer of a model is kept, under all trials.
        ledger: what may be used up.
        num_threads: examples at once.
        failure_score: of an example on which the program fails.
        max_errors: on how many examples of a program the metric may raise; each is recorded as a failed one.
        measures: further measures, by name.
        wanted: names of measures that objectives and constraints use.
    """

    def __init__(
        self,
        metric: Metric,
        *,
        price: Price,
        store: StudyStore,
        bank: CandidateBank,
        ledger: Ledger,
        num_threads: int,
        failure_score: float,
        max_errors: int = 0,
        measures: Mapping[str, Measure] | None = None,
        wanted: Sequence[str] = (),
    ) -> None:
        self.price, self.store, self.bank, self.ledger = price, store, bank, ledger
        self.num_threads, self.failure_score = num_threads, failure_score
        self._judge = Judge(metric, max_errors, measures, wanted)
        self._known: tuple[str, dict[str, Outcome]] = ("", {})
        self._with_bank: dspy.Module | None = None  # the program that was last given the bank
        self._keys: dict[int, tuple[dspy.Example, str]] = {}
        self._waiting: list[Outcome] = []
        self._lock, self._kept = threading.Lock(), time.monotonic()
        self._matched, self._replayed = float("-inf"), Usage()
        self._threads = ThreadPoolExecutor(num_threads, "objective")

    def outcomes(
        self, program: dspy.Module, digest: str, examples: Sequence[dspy.Example], *, keep: bool = True
    ) -> list[Outcome]:
        """What a program does on examples, in their order; what the store knows is not done again.

        Without ``keep``, outcomes that took no call may wait for the next :meth:`keep`.

        Raises:
            BudgetSpent: before the next example, when the budget is used up; what was done is kept.
            MetricError: the metric failed.
        """
        known = self._of(digest)
        wanted = list(zip(examples, self.keys(examples), strict=True))
        if missing := [(example, key) for example, key in wanted if key not in known]:
            self._match_now_and_then()
            try:
                known.update(self._made(program, digest, missing))
            except BaseException:
                self.keep(digest)
                raise
        if keep:
            self.keep(digest)
        return [known[key] for _, key in wanted]

    def with_candidate_scores(self, program: dspy.Module, example: dspy.Example, outcome: Outcome) -> Outcome:
        """An outcome with what each of its candidates scores by itself; the program is run again, on its bank."""
        self._give_bank(program)
        self.ledger.check()
        prediction, again, _ = answered(program, example, outcome.example, self.price, self.failure_score)
        self.ledger.enter(again.spent, again.spent_cost)
        pool = prediction.pool if isinstance(prediction, PooledPrediction) else None
        good = () if pool is None else [c.prediction for c in pool.good if c.prediction is not None]
        scores = tuple(self._judge.score(example, candidate) for candidate in good)
        return replace(outcome, candidate_scores=scores if len(scores) == len(outcome.candidates) else ())

    def look(self, digest: str) -> dict[str, Outcome]:
        """What is known of a program now, by example; :meth:`outcomes` goes on from there."""
        self._known = (digest, self.store.outcomes(digest))
        return self._known[1]

    def known(self, digest: str) -> dict[str, Outcome]:
        """What is known of a program, by example, as it was when it was last looked at or scored."""
        return self._known[1] if self._known[0] == digest else self.store.outcomes(digest)

    def totals(self) -> Totals:
        """What the study has used up and replayed; of its other workers, what was known a second ago."""
        self._match_now_and_then()
        return Totals(self.ledger.used, self._replayed, self.ledger.cost)

    def match(self) -> None:
        """Takes over what the whole study has used up and replayed; while others are at work, the bank is shared."""
        if self.store.workers.has_company():
            self.bank.shared = True
        totals, self._matched = self.store.totals(), time.monotonic()
        self.ledger.match(totals.spent, totals.cost)
        with self._lock:
            self._replayed = Usage.total([totals.replayed, *(outcome.replayed for outcome in self._waiting)])

    def close(self) -> None:
        """Ends the threads."""
        self._threads.shutdown()

    def keys(self, examples: Sequence[dspy.Example]) -> list[str]:
        """The digests under which examples are kept, in their order."""
        for example in examples:
            if id(example) not in self._keys:
                self._keys[id(example)] = (
                    example,
                    example_digest(example),
                )  # with the example, so that its id stays its own
        return [self._keys[id(example)][1] for example in examples]

    def _of(self, digest: str) -> dict[str, Outcome]:
        """What is known of a program.

        Between two looks at the same one nothing but this worker's own outcomes is new.
        """
        return self._known[1] if self._known[0] == digest else self.look(digest)

    def _match_now_and_then(self) -> None:
        if time.monotonic() - self._matched > _MATCH_SECONDS:
            self.match()

    def _made(
        self, program: dspy.Module, digest: str, missing: Sequence[tuple[dspy.Example, str]]
    ) -> dict[str, Outcome]:
        """Outcomes by example, several made at once.

        The first failure lets what is under way end and nothing more begin.
        """
        left, made = deque(missing), dict[str, Outcome]()
        self._give_bank(program)

        def work() -> None:
            """Runs examples, one after the other, until none is left or one has failed for good."""
            try:
                while left:
                    with suppress(IndexError):  # another thread was faster
                        example, key = left.popleft()
                        made[key] = context.copy().run(self._one, program, digest, example, key)
            except BaseException:
                left.clear()  # at once: nobody looks at this thread before the others are done
                raise

        takes_part = _may_block()  # the calling thread is one of them: handing over takes time on a busy machine
        jobs: list[Future[None]] = []
        try:
            with given_up_when_interrupted():
                context = copy_context()
                jobs += [self._threads.submit(work) for _ in range(min(self.num_threads, len(missing)) - takes_part)]
                if takes_part:
                    work()
                for job in as_completed(jobs):
                    job.result()
        except BaseException:
            left.clear()
            wait(jobs)
            raise
        return made

    def _one(self, program: dspy.Module, digest: str, example: dspy.Example, key: str) -> Outcome:
        self.ledger.check()
        prediction, outcome, usage = answered(program, example, key, self.price, self.failure_score)
        self.ledger.enter(outcome.spent, outcome.spent_cost)
        if outcome.error is None:
            try:
                said = self._judge(digest, example, prediction, self.failure_score, usage)
            except MetricError:
                self.store.keep(
                    _UNJUDGED, replace(outcome, example=f"{key}-{time.time_ns():x}")
                )  # its calls count all the same
                raise
            outcome = replace(
                outcome, score=said.score, feedback=said.feedback, error=said.error, values=dict(said.values)
            )
        with self._lock:
            self._waiting.append(outcome)
            self._replayed = self._replayed + outcome.replayed
        if outcome.spent.calls or time.monotonic() - self._kept > _WAIT_SECONDS:
            self.keep(digest)
        return outcome

    def keep(self, digest: str) -> None:
        """Keeps what waits: an outcome that took a call never does.

        Others, which cost next to nothing to make again, do for a moment.
        """
        with self._lock:
            waiting, self._waiting, self._kept = self._waiting, [], time.monotonic()
        self.store.keep(digest, *waiting)

    def _give_bank(self, program: dspy.Module) -> None:
        parts = () if program is self._with_bank else program.named_sub_modules(SamplingProgram)
        for _, part in parts:
            if isinstance(part, SamplingProgram) and part.bank is None:
                part.bank = self.bank
        self._with_bank = program


def example_digest(example: dspy.Example) -> str:
    """The digest of an example's fields and of which of them are inputs."""
    text = json.dumps([plain(example.toDict()), sorted(example.inputs().keys())], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _may_block() -> bool:
    """Whether this thread runs no event loop, in which programs that run one of their own would fail."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return True
    return False
