"""One worker's run of a study: the baseline, the trials with their races, new instructions in between, and the conclusion."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import dspy
import optuna
from optuna.trial import FrozenTrial, TrialState

from dspy_fusion.programs import ConfigurationError, Usage
from dspy_fusion.programs.signatures import CANDIDATES, signature_of

from . import intervals
from .budget import BudgetSpent, Ledger
from .instruction_proposals import InstructionProposer, describe_pool
from .objective import MetricError, Objective
from .racing import is_hopeless, looks
from .search_space import INSTRUCTION, SearchSpace, setting_digest
from .study import (
    DIGEST,
    DROPPED,
    ask,
    finished,
    give_back,
    take_up_leftovers,
    tell_dropped,
    tell_failed,
    tell_whole,
    under_way,
)
from .study_store import Heartbeat, Outcome, StudyStore
from .tuning_report import TrialReport

OWN, LIBRARY, GROUNDED, REFLECTED = "own", "given", "grounded", "reflected"
_WORST = 4  # examples that a reflection looks at


@dataclass(frozen=True)
class Progress:
    """Where a study stands, after a trial ended."""

    trial: TrialReport
    finished: int
    wanted: int
    best: float
    dropped: int
    spent: Usage
    replayed: Usage
    budget_left: str


@dataclass
class TuningRun:
    """The state of one worker.

    Attributes:
        program: the student, never changed.
        space: its space; texts that other workers add are read before each trial.
        study: the Optuna study.
        store: the study's store.
        objective: scores programs.
        ledger: what may be used up.
        examples: what trials are scored on, in their shared order.
        trials: how many trials the study is to have.
        racing_error: see ``is_hopeless``.
        proposer: where new instructions come from, or None.
        proposals: how many grounded ones to ask for.
        reflect_every: after how many trials to reflect; 0 for never.
        on_progress: called after each trial.
    """

    program: dspy.Module
    space: SearchSpace
    study: optuna.Study
    store: StudyStore
    objective: Objective
    ledger: Ledger
    examples: Sequence[dspy.Example]
    trials: int
    racing_error: float
    proposer: InstructionProposer | None
    proposals: int
    reflect_every: int
    on_progress: Callable[[Progress], None]
    notes: list[str] = field(default_factory=list)

    def run(self) -> None:
        """Runs trials until the study has as many as it is to have, or the budget is used up."""
        with Heartbeat(self.store) as worker:
            if leftovers := take_up_leftovers(self.study, self.store):
                self.notes.append(f"{leftovers} trial(s) of workers that were killed were taken up again")
            baseline = self._baseline()
            self._first_texts(baseline)
            self.study.enqueue_trial(self.space.read(self.program), skip_if_exists=True)
            try:
                while len(finished(self.study)) + under_way(self.study, self.store) < self.trials:
                    self._trial(worker)
                    self._reflect()
            except BudgetSpent as spent:
                self.notes.append(str(spent))

    def outcomes(self, digest: str) -> list[Outcome]:
        """What is known of a program on the trials' examples, in their order, up to the first that is missing."""
        known, found = self.store.outcomes(digest), []
        for key in self.objective.keys(self.examples):
            if key not in known:
                break
            found.append(known[key])
        return found

    def reports(self) -> list[TrialReport]:
        """All trials that ran to an end of their own."""
        return [self.report(trial) for trial in finished(self.study)]

    def report(self, trial: FrozenTrial) -> TrialReport:
        """What there is to say of a trial."""
        setting = {name: round(value, 6) if isinstance(value, float) else value for name, value in trial.params.items()}
        if trial.state == TrialState.FAIL:
            return TrialReport(trial.number, "failed", setting, None, 0.0, 0, str(trial.user_attrs.get("cause", "")))
        scored = trial.user_attrs.get(DROPPED)
        outcomes = self.outcomes(trial.user_attrs[DIGEST])[:scored]
        quality = intervals.of_mean([outcome.score for outcome in outcomes])
        cost = sum(outcome.cost for outcome in outcomes) / max(1, len(outcomes))
        return TrialReport(trial.number, "whole" if scored is None else "dropped", setting, quality, cost, len(outcomes))

    def _baseline(self) -> list[Outcome]:
        try:
            return self.objective.outcomes(self.program, setting_digest(self.program), self.examples)
        except BudgetSpent as spent:
            raise BudgetSpent(
                f"{spent} before the program as it is was scored on all {len(self.examples)} examples; give more, or fewer examples"
            ) from spent

    def _trial(self, worker: str) -> None:
        self.ledger.check()
        self._read_texts()
        trial = ask(self.study, worker)
        try:
            program = self.space.apply(self.program, self.space.suggest(trial))
            trial.set_user_attr(DIGEST, setting_digest(program))
            self._race(trial, program)
        except (MetricError, ConfigurationError) as failure:
            tell_failed(self.study, trial, " ".join(str(failure).split())[:1000])
        except BaseException:
            give_back(self.study, trial)
            raise
        self._tell_progress(trial.number)

    def _race(self, trial: optuna.Trial, program: dspy.Module) -> None:
        outcomes: list[Outcome] = []
        for length in looks(len(self.examples)):
            outcomes = self.objective.outcomes(program, trial.user_attrs[DIGEST], self.examples[:length])
            if self._cannot_win(outcomes):
                tell_dropped(self.study, trial, *_means(outcomes), scored=length)
                return
        tell_whole(self.study, trial, *_means(outcomes))

    def _cannot_win(self, outcomes: list[Outcome]) -> bool:
        """Whether some whole trial, no dearer on the same examples where cost counts, is out of reach."""
        scores, total, cost = [outcome.score for outcome in outcomes], len(self.examples), _means(outcomes)[1]
        for rival in self._rivals():
            same = rival[: len(outcomes)]
            if (len(self.study.directions) == 1 or _means(same)[1] <= cost) and is_hopeless(
                scores, [outcome.score for outcome in same], total=total, error=self.racing_error
            ):
                return True
        return False

    def _rivals(self) -> list[list[Outcome]]:
        """The outcomes of the baseline and of every whole trial; where only quality counts, of the best of them."""
        digests = {setting_digest(self.program)} | {t.user_attrs[DIGEST] for t in finished(self.study) if _is_whole(t)}
        known = [outcomes for digest in sorted(digests) if len(outcomes := self.outcomes(digest)) == len(self.examples)]
        return [max(known, key=lambda outcomes: _means(outcomes)[0])] if len(self.study.directions) == 1 else known

    def _first_texts(self, baseline: list[Outcome]) -> None:
        for path, texts in self.space.instructions.items():
            self.store.add_texts(path, texts[:1], OWN)
            self.store.add_texts(path, texts[1:], LIBRARY)
            if self.proposer is None:
                continue
            origins = [origin for _, origin in self.store.texts(path)]
            wanted = self.proposals - origins.count(GROUNDED)
            signature = signature_of(dict(self.program.named_predictors())[path])
            if wanted > 0 and CANDIDATES in signature.input_fields:
                task = signature.instructions
                fresh = self.proposer.grounded(task, self.examples, describe_pool(baseline), texts, wanted)
                self.store.add_texts(path, fresh, GROUNDED)
        self._read_texts()
        if self.proposer is None and self.space.instructions:
            self.notes.append("no proposing model was given: the search went over the given instructions alone")

    def _read_texts(self) -> None:
        for path in self.space.instructions:
            self.space = self.space.with_texts(path, [text for text, _ in self.store.texts(path)])

    def _reflect(self) -> None:
        """Every few trials, rewrites the best trial's instructions in view of its worst results and queues the rewrite."""
        ended = len(finished(self.study))
        if self.proposer is None or not self.reflect_every or ended % self.reflect_every:
            return
        whole = [trial for trial in finished(self.study) if _is_whole(trial)]
        if not whole:
            return
        best = max(whole, key=lambda trial: _means(self.outcomes(trial.user_attrs[DIGEST]))[0])
        by_score = sorted(zip(self.examples, self.outcomes(best.user_attrs[DIGEST]), strict=True), key=lambda pair: pair[1].score)
        for path in self.space.instructions:
            place = best.params.get(INSTRUCTION + path, 0)
            text = self.space.instructions[path][place]
            fresh = self.proposer.reflective(text, by_score[:_WORST], ended)
            self.store.add_texts(path, fresh, REFLECTED)
            self._read_texts()
            for added in fresh:
                index = self.space.instructions[path].index(added)
                self.study.enqueue_trial({**best.params, INSTRUCTION + path: index}, skip_if_exists=True)

    def _tell_progress(self, number: int) -> None:
        ended = finished(self.study)
        report = self.report(next(trial for trial in ended if trial.number == number))
        reports = [self.report(trial) for trial in ended if _is_whole(trial)]
        best = max([r.quality.mean for r in reports if r.quality] or [float("nan")])
        dropped = sum(DROPPED in trial.user_attrs for trial in ended)
        totals = self.store.totals()
        self.on_progress(Progress(report, len(ended), self.trials, best, dropped, totals.spent, totals.replayed, self.ledger.left))


def _is_whole(trial: Any) -> bool:
    return trial.state == TrialState.COMPLETE and DROPPED not in trial.user_attrs


def _means(outcomes: Sequence[Outcome]) -> tuple[float, float]:
    count = max(1, len(outcomes))
    return sum(outcome.score for outcome in outcomes) / count, sum(outcome.cost for outcome in outcomes) / count
