"""TrialReports: what there is to say of a study's trials, each of them read from the store once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile

import dspy
import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState

from .. import bootstrap as intervals
from .scores.objective import Objective
from .scores.scored import Scored
from .scores.study_store import Outcome
from .search.estimates import Estimate, estimates
from .search.trial_model import expected_values
from .search_space import INSTRUCTION, SearchSpace
from .study import CAUSE, DIGEST, DROPPED, distributions, finished
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
    _whole: dict[str, Scored] = field(default_factory=dict)
    _reports: dict[int, TrialReport] = field(default_factory=dict)
    _scores: dict[int, np.ndarray] = field(default_factory=dict)

    def outcomes(self, digest: str) -> list[Outcome]:
        """What is known of a program on the trials' examples, in their order, up to the first that is missing."""
        known = self._in_order(self.objective.known(digest))
        return known if len(known) == len(self.examples) else self.look(digest)  # another worker may know more

    def scored(self, digest: str) -> Scored:
        """The same without texts."""
        if digest in self._whole:
            return self._whole[digest]
        rows = Scored.of(self.outcomes(digest))
        if len(rows) == len(self.examples):
            self._whole[digest] = rows  # so it never changes
        return rows

    def look(self, digest: str) -> list[Outcome]:
        """What is known of a program, with what other workers have added by now."""
        return self._in_order(self.objective.look(digest))

    def complete(self, digests: Iterable[str]) -> list[Scored]:
        """What those of these programs scored that were scored on every example, in the order of their digests."""
        rows = [self.scored(digest) for digest in sorted(digests)]
        return [row for row in rows if len(row) == len(self.examples)]

    def estimates(self, trials: Sequence[FrozenTrial]) -> dict[int, Estimate]:
        """What finished trials would have scored on all examples, by their numbers."""
        known = [trial for trial in trials if DIGEST in trial.user_attrs and trial.state != TrialState.FAIL]
        scores = {trial.number: self._scores_of(trial) for trial in known}
        scores = {number: row for number, row in scores.items() if len(row)}
        return dict(zip(scores, estimates(list(scores.values())), strict=True))

    def expected(
        self,
        study: optuna.Study,
        trials: Sequence[FrozenTrial],
        space: SearchSpace,
        known: Mapping[int, Estimate] | None = None,
    ) -> dict[int, float]:
        """What whole trials are worth in view of all trials, by their numbers; ``known`` are their estimates."""
        known = self.estimates(finished(trials)) if known is None else known
        return expected_values(study, trials, distributions(space), space.unordered, known)

    def _scores_of(self, trial: FrozenTrial) -> np.ndarray:
        """Its scores, of a dropped trial those it was dropped with."""
        if trial.number not in self._scores:
            rows = self.scored(trial.user_attrs[DIGEST])["quality"][: trial.user_attrs.get(DROPPED)]
            self._scores[trial.number] = rows
        return self._scores[trial.number]

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
        rows = self.scored(trial.user_attrs[DIGEST]).first(scored)
        values = {name: value for name, value in rows.means.items() if name not in ("quality", "cost")}
        return TrialReport(
            trial.number,
            "whole" if scored is None else "dropped",
            setting,
            intervals.of_mean(rows["quality"]),
            rows.means["cost"],
            len(rows),
            fallbacks=int(rows.fell_back.sum()),
            values=values,
        )
