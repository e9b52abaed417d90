"""The end of a study: which trial is taken, how it does on the examples that no trial saw, and the report."""

from __future__ import annotations

from collections.abc import Sequence

import dspy

from .. import bootstrap as intervals
from ..bootstrap import Interval
from .budget import BudgetSpent
from .constraints import Constraint, meets, misses
from .instruction_proposals import InstructionProposer
from .report_text import enough_examples
from .search_space import SearchSpace, setting_digest
from .study import DIGEST
from .study_store import Outcome
from .tuning_report import TrialReport, TuningReport
from .tuning_run import TuningRun


def conclude(run: TuningRun, *, storage: str, tolerance: float) -> dspy.Module:
    """The tuned program, or the program as it was, with a report as ``tuning_report``.

    Args:
        run: a study whose trials are done.
        storage: its URL, as it may be shown.
        tolerance: how much quality may be given up for a lower cost.
    """
    reports = run.reports()
    known = run.of_trials.outcomes(setting_digest(run.program))
    baseline, cost = intervals.of_mean([outcome.score for outcome in known]), _mean_cost(known)
    limits = run.constraints
    best = choose(reports, baseline.mean, cost, tolerance, limits)
    made = run.space.apply(run.program, best.setting) if best else run.program.deepcopy()
    after = _after(run, made) if best else None
    gain = _gain(after, run.before)
    cost_before, cost_after = (
        _mean_cost(run.before or known),
        _mean_cost(after) if after else (best.cost if best else cost),
    )
    holds = gain is None or gain.mean > 0 or (gain.mean >= -tolerance and cost_after < cost_before)
    keeps = best is not None and (holds or not meets(limits, baseline.mean, cost))
    totals = run.store.totals()
    report = TuningReport(
        study=run.store.study,
        storage=storage,
        trials=tuple(reports),
        chosen=best.number if best and keeps else None,
        baseline=baseline,
        pareto=pareto(reports),
        before=_interval(run.before),
        after=_interval(after),
        gain=gain,
        cost_before=cost_before,
        cost_after=cost_after,
        instructions={path: tuple(run.store.texts(path)) for path in run.space.instructions},
        spent=totals.spent,
        replayed=totals.replayed,
        spent_cost=totals.cost,
        verdict=_unmet(reports, baseline.mean, cost, limits) or _verdict(best, keeps, gain),
        notes=(
            *run.notes,
            *_untaken(run.space),
            *_fallbacks(reports),
            *_complaints(run.writer.proposer),
            *_too_few(gain),
        ),
        start=run.space.read(run.program),
        alike=_alike(run, reports),
    )
    result = made if keeps else run.program.deepcopy()
    setattr(result, "tuning_report", report)  # noqa: B010 (an attribute that dspy.Module does not declare)
    return result


def choose(
    reports: Sequence[TrialReport],
    quality: float,
    cost: float,
    tolerance: float,
    constraints: Sequence[Constraint] = (),
) -> TrialReport | None:
    """The cheapest whole trial within ``tolerance`` of the best that meets the constraints,
    or None where that is the baseline of this quality and cost, or nothing.
    """
    whole = [r for r in reports if r.state == "whole" and r.quality and meets(constraints, r.quality.mean, r.cost)]
    quality = quality if meets(constraints, quality, cost) else float("-inf")
    top = max([quality, *(r.quality.mean for r in whole if r.quality)])
    near = [r for r in whole if r.quality and r.quality.mean >= top - tolerance]
    best = min(near, key=lambda r: (r.cost, -(r.quality.mean if r.quality else 0.0), r.number), default=None)
    if best is None or best.quality is None:
        return None
    as_good = quality >= top - tolerance
    return None if as_good and (cost, -quality) <= (best.cost, -best.quality.mean) else best


def pareto(reports: Sequence[TrialReport]) -> tuple[int, ...]:
    """The numbers of the whole trials that no other beats in quality and cost."""
    whole = [(r.number, r.quality.mean, r.cost) for r in reports if r.state == "whole" and r.quality]
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


def _mean_cost(outcomes: Sequence[Outcome]) -> float:
    return sum(outcome.cost for outcome in outcomes) / max(1, len(outcomes))


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


def _unmet(
    reports: Sequence[TrialReport], quality: float, cost: float, constraints: Sequence[Constraint]
) -> str | None:
    whole = [(f"trial {r.number}", r.quality.mean, r.cost) for r in reports if r.state == "whole" and r.quality]
    programs = [("the program as it was", quality, cost), *whole]
    if any(meets(constraints, quality, cost) for _, quality, cost in programs):
        return None
    return f"nothing meets the constraints ({misses(constraints, programs)}): the program is returned as it was"


def _alike(run: TuningRun, reports: Sequence[TrialReport]) -> int | None:
    """The cheapest whole trial that is not told apart from the best."""
    whole = sorted((r for r in reports if r.state == "whole" and r.quality), key=lambda report: report.cost)
    digests = {trial.number: trial.user_attrs[DIGEST] for trial in run.study.look() if DIGEST in trial.user_attrs}
    scores = {r.number: [outcome.score for outcome in run.of_trials.outcomes(digests[r.number])] for r in whole}
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
