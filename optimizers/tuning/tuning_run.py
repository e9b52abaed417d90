"""One worker's run of a study: the baseline, the trials with their races, and new instructions in between."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import dspy
import optuna
from optuna.trial import FrozenTrial

from dspy_fusion.programs import ConfigurationError, Usage

from .constraints import Constraint
from .prompt_writing import PromptWriter
from .scores.budget import BudgetSpent, Ledger
from .scores.metric import MetricError
from .scores.objective import Objective
from .scores.study_store import Outcome, StudyStore
from .scores.workers import POLL_SECONDS
from .search.estimates import Estimate
from .search_space import SearchSpace, setting_digest
from .study import (
    DIGEST,
    TunedStudy,
    ask,
    finished,
    give_back,
    take_up_leftovers,
    tell_failed,
    under_way,
    whole,
)
from .trial_reports import TrialReports
from .trial_scoring import scored_trial
from .tuning_report import Progress, TrialReport

_HELD_OUT, _LEAST_HELD_OUT, _ROUNDS = "held-out ", 2, "reflections"


@dataclass
class TuningRun:
    """The state of one worker.

    Attributes:
        program: the student, never changed.
        space: its space, with the texts as they were kept when the last trial began.
        study: the Optuna study.
        store: the study's store.
        objective: scores programs.
        ledger: what may be used up.
        writer: keeps the instruction lists.
        examples: what trials are scored on, in their shared order.
        held_out: what no trial sees.
        trials: how many trials the study is to have.
        sampler: from a text that differs from trial to trial, and this run, to the sampler that proposes it.
        racing_error: see :class:`Race`.
        tolerance: how much more quality a dearer trial has to promise.
        reflect_every: after how many trials to reflect; 0 for never.
        on_progress: called after each trial.
        constraints: what a program that is returned has to meet.
        objectives: ``quality`` and what breaks ties, lower being better.
        before: the program as it is on the held-out examples, once that is known.
        notes: what the reader of the report should know.
        ended: whole trials, when the present one began.
        estimated: what trials would have scored on all examples, by their numbers, when the present one began.
        expected: what is expected of trials in view of all of them, by their numbers, when the present one began.
    """

    program: dspy.Module
    space: SearchSpace
    study: TunedStudy
    store: StudyStore
    objective: Objective
    ledger: Ledger
    writer: PromptWriter
    examples: Sequence[dspy.Example]
    held_out: Sequence[dspy.Example]
    trials: int
    sampler: Callable[[str, TuningRun], optuna.samplers.BaseSampler]
    racing_error: float
    tolerance: float
    reflect_every: int
    on_progress: Callable[[Progress], None] = lambda progress: None
    constraints: Sequence[Constraint] = ()
    objectives: Sequence[str] = ("quality", "cost")
    before: list[Outcome] | None = None
    notes: list[str] = field(default_factory=list)
    ended: list[FrozenTrial] = field(default_factory=list)
    estimated: dict[int, Estimate] = field(default_factory=dict)
    expected: dict[int, float] = field(default_factory=dict)
    _twinless: int = -1  # a trial beside which no other was under way when it began

    def __post_init__(self) -> None:
        self.of_trials = TrialReports(self.objective, self.examples)

    @property
    def second(self) -> str:
        """What breaks ties: the second objective, or else the cost."""
        return self.objectives[1] if len(self.objectives) > 1 else "cost"

    def run(self) -> None:
        """Runs trials until the study has as many as it is to have, or the budget is used up."""
        with self.store.workers.at_work() as worker:
            with self.store.workers.turn():
                self._begin()
            try:
                while prepared := self._next(worker):
                    self._try(*prepared)
            except BudgetSpent as spent:
                self._complain(spent)
            self.space = self.writer.current(self.space)  # whose texts trials of other runs and workers refer to

    def _complain(self, spent: BudgetSpent) -> None:
        """Notes that the budget is used up; where it did not suffice for a single trial of anyone, that is an error."""
        trials = self.study.look()
        if not finished(trials) and not under_way(trials):
            raise BudgetSpent(f"{spent} before a single trial was done; give more of it") from spent
        self.notes.append(str(spent))

    def held_out_outcomes(self, program: dspy.Module) -> list[Outcome] | None:
        """What a program does on the held-out examples, or None where there are too few of them."""
        if len(self.held_out) < _LEAST_HELD_OUT:
            return None
        return self.objective.outcomes(program, _HELD_OUT + setting_digest(program), self.held_out)

    def reports(self) -> list[TrialReport]:
        """All trials that ran to an end of their own."""
        return [self.of_trials.of(trial) for trial in finished(self.study.look())]

    def _begin(self) -> None:
        """What one worker does and all others find done: leftovers, baseline, first texts, first trial's point."""
        self._take_up()
        try:
            self.before = self.held_out_outcomes(self.program)
            baseline = self.objective.outcomes(self.program, setting_digest(self.program), self.examples)
        except BudgetSpent as spent:
            count = len(self.examples) + len(self.held_out)
            raise BudgetSpent(
                f"{spent} before the program as it is was scored on all {count} examples; give more of it"
            ) from spent
        self._check_baseline([*(self.before or ()), *baseline])
        if self.before is None:
            self.notes.append(
                "no examples were held out, so the gain is not measured on unseen ones; give a testset or a larger"
                " valset"
            )
        else:
            self.ledger.set_aside(Usage.total(o.usage for o in self.before), sum(o.cost for o in self.before))
        self.writer.begin(self.space, baseline)
        self.objective.match()  # what writing took
        if self.writer.proposer is None and self.space.instructions:
            self.notes.append("no proposing model was given: the search went over the given instructions alone")
        self.space = self.space.taken_by(self.program)  # what the baseline's models refused is known now
        self.study.enqueue_trial(self.space.read(self.program), skip_if_exists=True)

    def _check_baseline(self, outcomes: Sequence[Outcome]) -> None:
        """A program that never works is an error; what it did is forgotten, to be done again once that is mended."""
        failed = [outcome.error for outcome in outcomes if outcome.error is not None]
        if not failed:
            return
        said = (
            f"the program as it is failed on {len(failed)} of {len(outcomes)} examples, the first time with:"
            f" {failed[0]}"
        )
        if len(failed) < len(outcomes):
            self.notes.append(said)
            return
        digest = setting_digest(self.program)
        self.store.set_apart(digest, _HELD_OUT + digest)
        raise ConfigurationError(f"{said}; mend that and run the same command again")

    def _take_up(self) -> Sequence[FrozenTrial]:
        """All trials, once those of dead workers are queued again."""
        trials = self.study.look()
        if leftovers := take_up_leftovers(self.study, trials, self.store.workers):
            self.notes.append(f"{leftovers} trial(s) of workers that were killed were taken up again")
            return self.study.look()
        return trials

    def _next(self, worker: str) -> tuple[FrozenTrial, dspy.Module] | None:
        """The next trial and its program as soon as there is one to be had,
        or None when the study has all of its trials.
        """
        while True:
            with self.store.workers.turn():
                trials = self._take_up()
                done, others = len(finished(trials)), len(under_way(trials))
                self.ended = whole(trials)
                self.estimated = self.of_trials.estimates(finished(trials))
                self.expected = self.of_trials.expected(self.study, trials, self.space, self.estimated)
                if self._is_over(done):
                    return None
                if done + others < self.trials:
                    self.ledger.check()
                    if self._reflect(done):
                        trials = self.study.look()
                    self.space = self.writer.current(self.space).taken_by(self.program)
                    self.study.sampler = self.sampler(f"{done}/{others}/{worker}" if others else str(done), self)
                    asked = ask(self.study, self.space, self.program, worker=worker)
                    self._twinless = asked[0].number if not others else self._twinless
                    return asked
            time.sleep(POLL_SECONDS)

    def _is_over(self, done: int) -> bool:
        if self.study.exhausted:
            self.notes.append(f"the sampler had nothing left to try after {done} trials")
        return done >= self.trials or self.study.exhausted

    def _try(self, trial: FrozenTrial, program: dspy.Module) -> None:
        try:
            self._await_twin(trial)
            told = scored_trial(self, trial, program)
        except (MetricError, ConfigurationError) as failure:
            told = tell_failed(self.study, trial, " ".join(str(failure).split())[:1000])
        except BaseException:
            give_back(self.study, trial)
            raise
        if told:
            left, texts = self.ledger.left, self.space.instructions
            self.on_progress(
                self.of_trials.progress(trial.number, self.reports(), wanted=self.trials, left=left, texts=texts)
            )
        else:
            self.notes.append(f"trial {trial.number} gave no sign of life for a while, so another worker took it up")

    def _await_twin(self, trial: FrozenTrial) -> None:
        """Waits while another worker is at the same program: its scores need not be made twice."""
        if self._twinless == trial.number:
            return
        digest = trial.user_attrs[DIGEST]
        while any(t.user_attrs.get(DIGEST) == digest and t.number < trial.number for t in under_way(self.study.look())):
            time.sleep(POLL_SECONDS)
            with self.store.workers.turn():
                self._take_up()

    def _reflect(self, done: int) -> bool:
        """Every few trials, rewrites the best trial's instructions in view of its worst results, and queues that."""
        rounds = done // self.reflect_every if self.reflect_every and self.writer.proposer else 0
        if not rounds or not self.ended or rounds <= self.study.user_attrs.get(_ROUNDS, 0):
            return False
        best = max(self.ended, key=lambda trial: self.expected.get(trial.number, -math.inf))
        now = self.writer.current(self.space)
        made = now.apply(self.program, self.of_trials.of(best).setting)
        rewrites = self.writer.rewrite(
            now,
            best.params,
            self.of_trials.outcomes(best.user_attrs[DIGEST]),
            rounds,
            lambda example, outcome: self.objective.with_candidate_scores(made, example, outcome),
        )
        self.objective.match()  # what writing took
        texts = self.writer.current(self.space).instructions
        for name, text in rewrites:
            place = texts[name.partition(":")[2]].index(text)
            self.study.enqueue_trial({**best.params, name: place}, skip_if_exists=True)
        self.study.set_user_attr(_ROUNDS, rounds)
        return True
