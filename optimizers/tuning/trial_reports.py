"""TrialReports: what there is to say of a study's trials, each of them read from the store once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile

import dspy
from optuna.trial import FrozenTrial, TrialState

from .. import bootstrap as intervals
from .objective import Objective
from .racing import means
from .search_space import INSTRUCTION
from .study import CAUSE, DIGEST, DROPPED
from .study_store import Outcome
from .tuning_report import Progress, TrialReport


@dataclass
class TrialReports:
    """Outcomes and reports of programs on the trials' examples.

    Attributes:
        objective: knows what programs did.
        examples: what trials are scored on, in their shared order.
    """

    objective: Objective
    examples: Sequence[dspy.Example]
    _whole: dict[str, list[Outcome]] = field(default_factory=dict)
    _reports: dict[int, TrialReport] = field(default_factory=dict)

    def outcomes(self, digest: str) -> list[Outcome]:
        """What is known of a program on the trials' examples, in their order, up to the first that is missing."""
        if digest in self._whole:
            return self._whole[digest]
        found = self._in_order(self.objective.known(digest))
        if len(found) == len(self.examples):
            self._whole[digest] = found  # so it never changes
        return found

    def look(self, digest: str) -> list[Outcome]:
        """The same, with what other workers have added by now."""
        return self._in_order(self.objective.look(digest))

    def complete(self, digests: Iterable[str]) -> list[list[Outcome]]:
        """The outcomes of those of these programs that were scored on every example."""
        rows = [self.outcomes(digest) for digest in sorted(digests)]
        return [outcomes for outcomes in rows if len(outcomes) == len(self.examples)]

    def of(self, trial: FrozenTrial) -> TrialReport:
        """What there is to say of a finished trial."""
        if trial.number not in self._reports:
            self._reports[trial.number] = self._made(trial)
        return self._reports[trial.number]

    def progress(
        self,
        number: int,
        reports: Sequence[TrialReport],
        *,
        wanted: int,
        left: str,
        texts: Mapping[str, Sequence[str]],
    ) -> Progress:
        """Where a study stands after a trial.

        Args:
            number: of the trial that ended.
            reports: of all trials that ended.
            wanted: how many trials the study is to have.
            left: what is left of the budget, in words.
            texts: per predictor path, the instructions to choose from.
        """
        report = next(report for report in reports if report.number == number)
        best = max([r.quality.mean for r in reports if r.state == "whole" and r.quality] or [float("nan")])
        dropped = sum(r.state == "dropped" for r in reports)
        totals = self.objective.totals()
        used = {path: options[int(report.setting.get(INSTRUCTION + path, 0))] for path, options in texts.items()}
        return Progress(report, len(reports), wanted, best, dropped, totals.spent, totals.replayed, left, used)

    def _in_order(self, known: Mapping[str, Outcome]) -> list[Outcome]:
        return [known[key] for key in takewhile(known.__contains__, self.objective.keys(self.examples))]

    def _made(self, trial: FrozenTrial) -> TrialReport:
        setting = {name: round(value, 6) if isinstance(value, float) else value for name, value in trial.params.items()}
        if trial.state == TrialState.FAIL:
            return TrialReport(trial.number, "failed", setting, None, 0.0, 0, str(trial.user_attrs[CAUSE]))
        scored = trial.user_attrs.get(DROPPED)
        outcomes = self.outcomes(trial.user_attrs[DIGEST])[:scored]
        quality = intervals.of_mean([outcome.score for outcome in outcomes])
        state = "whole" if scored is None else "dropped"
        fallbacks = sum(outcome.fell_back for outcome in outcomes)
        return TrialReport(
            trial.number, state, setting, quality, means(outcomes)[1], len(outcomes), fallbacks=fallbacks
        )
