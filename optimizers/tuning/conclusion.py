"""The end of a study: which trial is taken, how it does on the examples that no trial saw, and the report."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import dspy

from .. import bootstrap as intervals
from ..bootstrap import Interval
from .constraints import Constraint, Means, meets, misses
from .instruction_proposals import InstructionProposer
from .report_text import enough_examples
from .scores.budget import BudgetSpent
from .scores.scored import means_of
from .scores.study_store import Outcome
from .search_space import SearchSpace, setting_digest
from .study import DIGEST
from .tuning_report import TrialReport, TuningReport
from .tuning_run import TuningRun

_ALIKE = 1e-3  # expected differences in quality up to this count as none, so that cost decides


def conclude(run: TuningRun, *, storage: str, tolerance: float) -> dspy.Module:
    """The tuned program, or the program as it was, with a report as ``tuning_report``.

    Args:
        run: a study whose trials are done.
        storage: its URL, as it may be shown.
        tolerance: how much quality may be given up for a lower cost.
    """
    reports, known = _reports(run), run.of_trials.outcomes(setting_digest(run.program))
    baseline, as_it_was = intervals.of_mean([outcome.score for outcome in known]), means_of(known)
    best = _best(run, reports, baseline, as_it_was, tolerance)
    made = run.space.apply(run.program, best.setting) if best else run.program.deepcopy()
    after = _after(run, made) if best else None
    gain = _gain(after, run.before)
    before_means = means_of(run.before or known)
    after_means = means_of(after) if after else (best.means if best else as_it_was)
    is_cheaper = after_means.get(run.second, math.inf) < before_means.get(run.second, math.inf)
    holds = gain is None or gain.mean > 0 or (gain.mean >= -tolerance and is_cheaper)
    keeps = best is not None and (holds or not meets(run.constraints, as_it_was))
    totals = run.store.totals()
    report = TuningReport(
        study=run.store.study,
        storage=storage,
        trials=tuple(reports),
        chosen=best.number if best and keeps else None,
        baseline=baseline,
        pareto=pareto(reports, run.second),
        before=_interval(run.before),
        after=_interval(after),
        gain=gain,
        cost_before=before_means["cost"],
        cost_after=after_means["cost"],
        instructions={path: tuple(run.store.texts(path)) for path in run.space.instructions},
        spent=totals.spent,
        replayed=totals.replayed,
        spent_cost=totals.cost,
        verdict=_unmet(reports, as_it_was, run.constraints) or _verdict(best, keeps, gain),
        notes=_notes(run, reports, baseline, gain),
        start=run.space.read(run.program),
        alike=_alike(run, reports),
        second=run.second,
        values_before=_further(before_means),
        values_after=_further(after_means),
    )
    result = made if keeps else run.program.deepcopy()
    setattr(result, "tuning_report", report)  # noqa: B010 (an attribute that dspy.Module does not declare)
    return result


def _reports(run: TuningRun) -> list[TrialReport]:
    """All trials with what is expected of them in view of all."""
    expected = run.of_trials.expected(run.study, run.study.look(), run.space)
    return [replace(report, expected=expected.get(report.number)) for report in run.reports()]


def _best(
    run: TuningRun, reports: Sequence[TrialReport], baseline: Interval, as_it_was: Means, tolerance: float
) -> TrialReport | None:
    """The trial to take, or None; trials of the program as it was tell what is expected of it, and are no choice."""
    own = setting_digest(run.program)
    digests = {trial.number: trial.user_attrs.get(DIGEST) for trial in run.study.look()}
    unchanged = [r for r in reports if digests[r.number] == own and r.state == "whole"]
    worth = unchanged[0].worth if unchanged else baseline.mean
    others = [r for r in reports if digests[r.number] != own]
    return choose(others, as_it_was, tolerance, run.constraints, second=run.second, worth=worth)


def _notes(
    run: TuningRun, reports: Sequence[TrialReport], baseline: Interval, gain: Interval | None
) -> tuple[str, ...]:
    return (
        *run.notes,
        *_untaken(run.space),
        *run.space.notes,
        *_constant(reports, baseline),
        *_fallbacks(reports),
        *_complaints(run.writer.proposer),
        *_too_few(gain),
    )


def _further(means: Means) -> dict[str, float]:
    """The means of the user's own measures."""
    return {name: value for name, value in means.items() if name not in ("quality", "cost")}


def choose(
    reports: Sequence[TrialReport],
    baseline: Means,
    tolerance: float,
    constraints: Sequence[Constraint] = (),
    *,
    second: str = "cost",
    worth: float | None = None,
) -> TrialReport | None:
    """The cheapest whole trial within ``tolerance`` of the best that meets the constraints, or None where that is the
    baseline of these means, or nothing; ``second`` is what is to be cheap, and ``worth`` what is expected of the
    baseline where that is not its mean.
    """
    whole = [r for r in reports if r.state == "whole" and r.quality and meets(constraints, r.means)]
    quality = baseline["quality"] if worth is None else worth
    quality = quality if meets(constraints, baseline) else float("-inf")
    least = max([quality, *(r.worth for r in whole)]) - max(tolerance, _ALIKE)
    near = [r for r in whole if r.worth >= least]
    best = min(near, key=lambda r: (r.means.get(second, math.inf), -r.worth, r.number), default=None)
    if best is None:
        return None
    before, after = (baseline.get(second, math.inf), -quality), (best.means.get(second, math.inf), -best.worth)
    return None if quality >= least and before <= after else best


def pareto(reports: Sequence[TrialReport], second: str = "cost") -> tuple[int, ...]:
    """The numbers of the whole trials that no other beats in quality and cost, or what else is the second objective."""
    whole = [
        (r.number, r.quality.mean, r.means.get(second, math.inf)) for r in reports if r.state == "whole" and r.quality
    ]
    return tuple(
        number
        for number, quality, cost in whole
        if not any(q >= quality and c <= cost and (q > quality or c < cost) for _, q, c in whole)
    )


def _after(run: TuningRun, program: dspy.Module) -> list[Outcome] | None:
    try:
        return run.held_out_outcomes(program)
    except BudgetSpent as spent:
        run.notes.append(f"{spent}, so the best trial was not scored on the held-out examples")
        return None


def _gain(after: Sequence[Outcome] | None, before: Sequence[Outcome] | None) -> Interval | None:
    if not after or not before:
        return None
    return intervals.of_difference([outcome.score for outcome in after], [outcome.score for outcome in before])


def _interval(outcomes: Sequence[Outcome] | None) -> Interval | None:
    return intervals.of_mean([outcome.score for outcome in outcomes]) if outcomes else None


def _verdict(best: TrialReport | None, keeps: bool, gain: Interval | None) -> str:
    if best is None:
        return "nothing beat the baseline: the program is returned as it was"
    if gain is None:
        return "the best trial is returned; its gain was not measured on unseen examples"
    if not keeps:
        return f"the best trial did not hold on unseen examples ({gain}): the program is returned as it was"
    if gain.low > 0:
        return f"better on unseen examples by {gain}"
    return f"no clear difference on unseen examples ({gain}); the best trial is returned"


def _unmet(reports: Sequence[TrialReport], baseline: Means, constraints: Sequence[Constraint]) -> str | None:
    whole = [(f"trial {r.number}", r.means) for r in reports if r.state == "whole" and r.quality]
    programs = [("the program as it was", baseline), *whole]
    if any(meets(constraints, means) for _, means in programs):
        return None
    return f"nothing meets the constraints ({misses(constraints, programs)}): the program is returned as it was"


def _alike(run: TuningRun, reports: Sequence[TrialReport]) -> int | None:
    """The cheapest whole trial that is not told apart from the best."""
    whole = sorted((r for r in reports if r.state == "whole" and r.quality), key=lambda report: report.cost)
    digests = {trial.number: trial.user_attrs[DIGEST] for trial in run.study.look() if DIGEST in trial.user_attrs}
    scores = {r.number: run.of_trials.scored(digests[r.number])["quality"] for r in whole}
    best = max(whole, key=lambda report: (report.quality.mean if report.quality else 0.0, -report.cost), default=None)
    if best is None:
        return None
    alike = (r for r in whole if intervals.of_difference(scores[best.number], scores[r.number]).low <= 0)
    cheapest = next((r for r in alike if r.cost < best.cost), None)
    return cheapest.number if cheapest else None


def _too_few(gain: Interval | None) -> list[str]:
    wanted = enough_examples(gain) if gain else None
    if gain is None or wanted is None:
        return []
    return [
        f"{gain.n} held-out examples are too few to tell a difference of {gain.mean:+.3f} from none; about {wanted:,}"
        " would do"
    ]


def _constant(reports: Sequence[TrialReport], baseline: Interval) -> list[str]:
    """Where every whole trial scored alike there was nothing to search for but the cost."""
    whole = {round(r.quality.mean, 9) for r in reports if r.state == "whole" and r.quality}
    if not whole or whole != {round(baseline.mean, 9)}:
        return []
    return [
        f"the program as it was and every whole trial scored the same, {baseline.mean:.3f}, so quality told nothing"
        " apart: look at the metric, or give harder examples"
    ]


def _untaken(space: SearchSpace) -> list[str]:
    """Which temperatures were searched in part or not at all, since the models do not take them."""
    searched = {dimension.name: dimension for dimension in space.dimensions}
    return [
        f"{d.name} was searched up to {searched[d.name].high:g} only: the model takes no more"
        if d.name in searched
        else f"{d.name} was not searched: the model takes no temperature"
        for d in space.untaken
    ]


def _fallbacks(reports: Sequence[TrialReport]) -> list[str]:
    count = sum(report.fallbacks > 0 for report in reports)
    if not count:
        return []
    worst = max(reports, key=lambda report: report.fallbacks)
    return [
        f"in {count} of {len(reports)} trials a fusor failed on some example and a candidate answered instead, most"
        f" often in trial {worst.number}: {worst.fallbacks} of {worst.scored}"
    ]


def _complaints(proposer: InstructionProposer | None) -> list[str]:
    if proposer is None or not proposer.failures:
        return []
    return [f"{len(proposer.failures)} instruction(s) could not be proposed, the last: {proposer.failures[-1]}"]
