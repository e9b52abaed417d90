"""One worker's run of a study: the baseline, the trials with their races, and new instructions in between."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile

import dspy
import optuna
from optuna.trial import FrozenTrial, TrialState

from dspy_fusion.programs import ConfigurationError, Usage

from . import intervals
from .asking import ask
from .budget import BudgetSpent, Ledger
from .objective import MetricError, Objective
from .prompt_writing import PromptWriter
from .racing import Race, looks, means
from .search_space import INSTRUCTION, SearchSpace, setting_digest
from .study import (
    CAUSE,
    DIGEST,
    DROPPED,
    TunedStudy,
    finished,
    give_back,
    take_up_leftovers,
    tell_dropped,
    tell_failed,
    tell_whole,
    under_way,
    whole,
)
from .study_store import Outcome, StudyStore
from .tuning_report import Progress, TrialReport
from .workers import POLL_SECONDS

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
        sampler: from a text that differs from trial to trial to the sampler that proposes it.
        racing_error: see :class:`Race`.
        tolerance: how much more quality a dearer trial has to promise.
        reflect_every: after how many trials to reflect; 0 for never.
        on_progress: called after each trial.
        before: the program as it is on the held-out examples, once that is known.
        notes: what the reader of the report should know.
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
    sampler: Callable[[str], optuna.samplers.BaseSampler]
    racing_error: float
    tolerance: float
    reflect_every: int
    on_progress: Callable[[Progress], None]
    before: list[Outcome] | None = None
    notes: list[str] = field(default_factory=list)
    _whole: dict[str, list[Outcome]] = field(default_factory=dict)
    _reports: dict[int, TrialReport] = field(default_factory=dict)
    _ended: list[FrozenTrial] = field(default_factory=list)  # whole trials, when the present one began
    _twinless: int = -1  # a trial beside which no other was under way when it began

    def run(self) -> None:
        """Runs trials until the study has as many as it is to have, or the budget is used up."""
        with self.store.workers.at_work() as worker:
            with self.store.workers.turn():
                self._begin()
            try:
                while prepared := self._next(worker):
                    self._try(*prepared)
            except BudgetSpent as spent:
                self.notes.append(str(spent))
            self.space = self.writer.current(self.space)  # whose texts trials of other runs and workers refer to

    def held_out_outcomes(self, program: dspy.Module) -> list[Outcome] | None:
        """What a program does on the held-out examples, or None where there are too few of them."""
        if len(self.held_out) < _LEAST_HELD_OUT:
            return None
        return self.objective.outcomes(program, _HELD_OUT + setting_digest(program), self.held_out)

    def outcomes(self, digest: str) -> list[Outcome]:
        """What is known of a program on the trials' examples, in their order, up to the first that is missing."""
        if digest in self._whole:
            return self._whole[digest]
        found = self._first_of(self.objective.known(digest))
        if len(found) == len(self.examples):
            self._whole[digest] = found  # so it never changes
        return found

    def _first_of(self, known: Mapping[str, Outcome]) -> list[Outcome]:
        keys = self.objective.keys(self.examples)
        return [known[key] for key in takewhile(known.__contains__, keys)]

    def reports(self) -> list[TrialReport]:
        """All trials that ran to an end of their own."""
        return [self.report(trial) for trial in finished(self.study.tables.look())]

    def report(self, trial: FrozenTrial) -> TrialReport:
        """What there is to say of a finished trial."""
        if trial.number not in self._reports:
            self._reports[trial.number] = self._reported(trial)
        return self._reports[trial.number]

    def _reported(self, trial: FrozenTrial) -> TrialReport:
        setting = {name: round(value, 6) if isinstance(value, float) else value for name, value in trial.params.items()}
        if trial.state == TrialState.FAIL:
            return TrialReport(trial.number, "failed", setting, None, 0.0, 0, str(trial.user_attrs[CAUSE]))
        scored = trial.user_attrs.get(DROPPED)
        outcomes = self.outcomes(trial.user_attrs[DIGEST])[:scored]
        quality = intervals.of_mean([outcome.score for outcome in outcomes])
        return TrialReport(trial.number, "whole" if scored is None else "dropped", setting, quality, means(outcomes)[1], len(outcomes))

    def _begin(self) -> None:
        """What one worker does and all others find done: leftovers, the baseline, the first texts, and the first trial's point."""
        self._take_up()
        try:
            self.before = self.held_out_outcomes(self.program)
            baseline = self.objective.outcomes(self.program, setting_digest(self.program), self.examples)
        except BudgetSpent as spent:
            count = len(self.examples) + len(self.held_out)
            raise BudgetSpent(f"{spent} before the program as it is was scored on all {count} examples; give more of it") from spent
        if self.before is None:
            self.notes.append("no examples were held out, so the gain is not measured on unseen ones; give a testset or a larger valset")
        else:
            self.ledger.set_aside(Usage.total(o.usage for o in self.before), sum(o.cost for o in self.before))
        self.writer.begin(self.space, baseline)
        self.objective.match()  # what writing took
        if self.writer.proposer is None and self.space.instructions:
            self.notes.append("no proposing model was given: the search went over the given instructions alone")
        self.study.enqueue_trial(self.space.read(self.program), skip_if_exists=True)

    def _take_up(self) -> Sequence[FrozenTrial]:
        """All trials, once those of dead workers are queued again."""
        trials = self.study.tables.look()
        if leftovers := take_up_leftovers(self.study, trials, self.store.workers):
            self.notes.append(f"{leftovers} trial(s) of workers that were killed were taken up again")
            return self.study.tables.look()
        return trials

    def _next(self, worker: str) -> tuple[FrozenTrial, dspy.Module] | None:
        """The next trial and its program as soon as there is one to be had, or None when the study has all of its trials."""
        while True:
            with self.store.workers.turn():
                trials = self._take_up()
                done, others = len(finished(trials)), len(under_way(trials))
                self._ended = whole(trials)
                if self._is_over(done):
                    return None
                if done + others < self.trials:
                    self.ledger.check()
                    if self._reflect(done):
                        trials = self.study.tables.look()
                    self.space = self.writer.current(self.space)
                    # Not one sampler for the whole run: so a killed run goes on with the very trials that it would have had.
                    self.study.sampler = self.sampler(f"{done}/{others}/{worker}" if others else str(done))
                    asked = ask(self.study, trials, self.space, self.program, worker=worker)
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
            told = self._race(trial, program)
        except (MetricError, ConfigurationError) as failure:
            told = tell_failed(self.study, trial, " ".join(str(failure).split())[:1000])
        except BaseException:
            give_back(self.study, trial)
            raise
        if told:
            self._tell_progress(trial.number)
        else:
            self.notes.append(f"trial {trial.number} gave no sign of life for a while, so another worker took it up")

    def _await_twin(self, trial: FrozenTrial) -> None:
        """Waits while another worker is at the same program: its scores need not be made twice."""
        if self._twinless == trial.number:
            return
        digest = trial.user_attrs[DIGEST]
        while any(t.user_attrs.get(DIGEST) == digest and t.number < trial.number for t in under_way(self.study.tables.look())):
            time.sleep(POLL_SECONDS)
            with self.store.workers.turn():
                self._take_up()

    def _race(self, trial: FrozenTrial, program: dspy.Module) -> bool:
        digest, by_cost = trial.user_attrs[DIGEST], len(self.study.directions) > 1
        race = Race(self._rivals(), error=self.racing_error, tolerance=self.tolerance if by_cost else 0.0, by_cost=by_cost)
        known = self._first_of(self.objective.look(digest))
        outcomes, behind = known, None
        for length in looks(len(self.examples)) if len(known) < len(self.examples) else ():
            outcomes = self.objective.outcomes(program, digest, self.examples[:length], keep=False)
            if (behind := race.shortfall(outcomes)) is not None:
                break
        self.objective.keep(digest)
        if behind is None:
            return tell_whole(self.study, trial, *means(outcomes))
        return tell_dropped(self.study, trial, *means(outcomes), scored=len(outcomes), shortfall=behind)

    def _rivals(self) -> list[list[Outcome]]:
        """The outcomes of the baseline and of every whole trial."""
        digests = {setting_digest(self.program)} | {trial.user_attrs[DIGEST] for trial in self._ended}
        return [outcomes for digest in sorted(digests) if len(outcomes := self.outcomes(digest)) == len(self.examples)]

    def _reflect(self, done: int) -> bool:
        """Every few trials, rewrites the best trial's instructions in view of its worst results and queues the rewrite."""
        rounds = done // self.reflect_every if self.reflect_every and self.writer.proposer else 0
        if not rounds or not self._ended or rounds <= self.study.user_attrs.get(_ROUNDS, 0):
            return False
        best = max(self._ended, key=lambda trial: means(self.outcomes(trial.user_attrs[DIGEST]))[0])
        found = self.writer.rewrite(self.writer.current(self.space), best.params, self.outcomes(best.user_attrs[DIGEST]), done)
        self.objective.match()  # what writing took
        texts = self.writer.current(self.space).instructions
        for name, text in found:
            place = texts[name.partition(":")[2]].index(text)
            self.study.enqueue_trial({**best.params, name: place}, skip_if_exists=True)
        self.study.set_user_attr(_ROUNDS, rounds)
        return True

    def _tell_progress(self, number: int) -> None:
        reports = self.reports()
        report = next(report for report in reports if report.number == number)
        best = max([r.quality.mean for r in reports if r.state == "whole" and r.quality] or [float("nan")])
        totals = self.objective.totals()
        dropped = sum(r.state == "dropped" for r in reports)
        places = {path: report.setting.get(INSTRUCTION + path, 0) for path in self.space.instructions}
        texts = {path: self.space.instructions[path][place] for path, place in places.items()}
        self.on_progress(Progress(report, len(reports), self.trials, best, dropped, totals.spent, totals.replayed, self.ledger.left, texts))
