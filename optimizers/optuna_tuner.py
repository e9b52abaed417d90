"""OptunaTuner: one ``compile()`` for the fusor's prompt, N, depth, temperatures and whatever else a program exposes."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import dspy
import optuna
from dspy.teleprompt import Teleprompter

from dspy_fusion.programs import CandidateBank, ConfigurationError, Usage

from . import intervals
from .budget import Budget, BudgetSpent, Ledger, Price, tokens
from .instruction_proposals import InstructionProposer
from .objective import Metric, Objective, example_digest
from .search_space import SearchSpace, setting_digest
from .study import open_study
from .study_store import Outcome, StudyStore
from .tuning_report import TrialReport, TuningReport
from .tuning_run import Progress, TuningRun

_LEAST_HELD_OUT = 2


class OptunaTuner(Teleprompter):
    """Tunes a program's prompts and numbers together, and says what the gain is and what it cost.

    The space is read off the program (see :class:`SearchSpace`). Trials share one bank, so a candidate is drawn once for all of them, and
    examples in one order, so trials are compared example by example and dropped once a paired test says they cannot win. Everything is in
    the storage: the same call goes on after ``kill -9``, and several processes or machines with the same storage share one study.

    Args:
        metric: see :class:`Objective`; higher is better.
        trials: how many trials the study is to have in all.
        storage: an SQLAlchemy URL, ``sqlite:///...`` or ``postgresql://...``.
        study: the study's name; by default one that is the same for the same program, space and examples.
        instructions: texts to choose from; see :meth:`SearchSpace.of`.
        demos: per predictor path, demo sets to choose from beside the program's own.
        proposer: a model, or an :class:`InstructionProposer`, that writes new instructions; None searches the given ones alone.
        proposals: how many grounded instructions to ask for at the beginning, per fusor.
        reflect_every: after how many trials to rewrite the best instruction in view of its failures; 0 for never.
        objectives: ``("quality", "cost")``, or ``("quality",)`` to search for quality alone.
        tolerance: how much quality to give up for a lower cost: of the trials within it of the best, the cheapest is chosen.
        price: what an answer costs; by default its tokens.
        budget: hard limits.
        sampler: any Optuna sampler; by default TPE with this seed.
        racing_error: chance of dropping a trial that is as good as the best; 0 to drop none.
        bank: where every answer of a model is kept; by default a bank beside the storage.
        tune_task: whether the task programs' own prompts are tuned too.
        exclude: paths of parameters that stay as they are.
        holdout: share of the validation examples that no trial sees, in [0, 1), where ``compile`` gets no ``testset``.
        num_threads: examples at once.
        failure_score: of an example on which a program fails.
        seed: of the sampler and of the examples' order.
        on_progress: called after each trial.

    Raises:
        ConfigurationError: an argument is wrong, there is nothing to tune, or the stored study is of another space.
        MetricError: the metric fails on the program as it is.
        BudgetSpent: the budget does not suffice for scoring the program as it is.
    """

    def __init__(
        self,
        metric: Metric,
        *,
        trials: int = 40,
        storage: str = "sqlite:///tuning.db",
        study: str | None = None,
        instructions: Sequence[str] | Mapping[str, Sequence[str]] | None = None,
        demos: Mapping[str, Sequence[Sequence[Any]]] | None = None,
        proposer: dspy.BaseLM | InstructionProposer | None = None,
        proposals: int = 4,
        reflect_every: int = 10,
        objectives: tuple[Literal["quality", "cost"], ...] = ("quality", "cost"),
        tolerance: float = 0.0,
        price: Price = tokens,
        budget: Budget | None = None,
        sampler: optuna.samplers.BaseSampler | None = None,
        racing_error: float = 0.1,
        bank: CandidateBank | None = None,
        tune_task: bool = False,
        exclude: Sequence[str] = (),
        holdout: float = 1 / 3,
        num_threads: int = 8,
        failure_score: float = 0.0,
        seed: int = 0,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> None:
        super().__init__()
        _check(trials=trials, objectives=objectives, tolerance=tolerance, racing_error=racing_error, holdout=holdout, threads=num_threads)
        self.metric, self.trials, self.storage, self.study = metric, trials, storage, study
        self.instructions, self.demos = instructions, demos or {}
        self.proposer = InstructionProposer(proposer, seed=seed) if isinstance(proposer, dspy.BaseLM) else proposer
        self.proposals, self.reflect_every = proposals, reflect_every
        self.objectives, self.tolerance, self.price, self.budget = objectives, tolerance, price, budget or Budget()
        self.sampler, self.racing_error, self.bank = sampler, racing_error, bank
        self.tune_task, self.exclude, self.holdout = tune_task, exclude, holdout
        self.num_threads, self.failure_score, self.seed = num_threads, failure_score, seed
        self.on_progress = on_progress or (lambda progress: None)

    def compile(
        self,
        student: dspy.Module,
        *,
        trainset: list[dspy.Example] | None = None,
        teacher: dspy.Module | None = None,
        valset: list[dspy.Example] | None = None,
        testset: list[dspy.Example] | None = None,
        **_: Any,
    ) -> dspy.Module:
        """Returns a tuned copy of a program, or a copy of the program as it is where nothing beat it; the program itself stays as it is.

        Args:
            student: any module that contains programs of this library.
            trainset: used as ``valset`` where none is given.
            teacher: not used; part of DSPy's interface.
            valset: the examples that trials are scored on.
            testset: examples for the final comparison, which no trial sees; by default a share of the valset is kept back for it.

        Returns:
            A program with a :class:`TuningReport` as ``tuning_report``.
        """
        scored_on, held_out = self._split(valset or trainset or (), testset)
        space = self._space(student)
        name = self.study or _study_name(student, space, scored_on)
        store = StudyStore(self.storage, name)
        totals = store.totals()
        ledger = Ledger(self.budget, totals.spent, totals.cost)
        objective = Objective(
            self.metric,
            price=self.price,
            store=store,
            bank=self.bank or CandidateBank(_bank_url(self.storage)),
            ledger=ledger,
            num_threads=self.num_threads,
            failure_score=self.failure_score,
        )
        study = open_study(self.storage, name, space=space, sampler=self._sampler(), objectives=len(self.objectives))
        run = TuningRun(
            student,
            space,
            study,
            store,
            objective,
            ledger,
            scored_on,
            self.trials,
            self.racing_error,
            self.proposer,
            self.proposals,
            self.reflect_every,
            self.on_progress,
        )
        before = _held_out(run, student, held_out)
        ledger.set_aside(Usage.total(outcome.usage for outcome in before or ()), sum(outcome.cost for outcome in before or ()))
        run.run()
        ledger.set_aside(Usage(), 0.0)
        return self._conclude(run, name, held_out, before)

    def _space(self, student: dspy.Module) -> SearchSpace:
        space = SearchSpace.of(student, instructions=self.instructions, tune_task=self.tune_task, exclude=self.exclude)
        for path, sets in self.demos.items():
            if path not in dict(student.named_predictors()):
                raise ConfigurationError(f"demos names {path!r}, which is no predictor of the program")
            space = space.with_demos(path, sets)
        return space

    def _sampler(self) -> optuna.samplers.BaseSampler:
        return self.sampler or optuna.samplers.TPESampler(seed=self.seed, n_startup_trials=max(5, self.trials // 5), constant_liar=True)

    def _split(
        self, examples: Sequence[dspy.Example], testset: Sequence[dspy.Example] | None
    ) -> tuple[list[dspy.Example], list[dspy.Example]]:
        shuffled = {example_digest(example): example for example in examples}
        order = sorted(shuffled)
        random.Random(self.seed).shuffle(order)
        kept_back = 0 if testset is not None else round(len(order) * self.holdout)
        scored_on = [shuffled[key] for key in order[: len(order) - kept_back]]
        if len(scored_on) < 2:
            raise ConfigurationError(f"a study needs at least 2 examples for its trials, but got {len(scored_on)}; give a larger valset")
        return scored_on, list(testset) if testset is not None else [shuffled[key] for key in order[len(order) - kept_back :]]

    def _conclude(self, run: TuningRun, name: str, held_out: list[dspy.Example], before: list[Outcome] | None) -> dspy.Module:
        reports = run.reports()
        baseline_outcomes = run.outcomes(setting_digest(run.program))
        baseline = intervals.of_mean([outcome.score for outcome in baseline_outcomes])
        best = _choose(reports, baseline.mean, _mean_cost(baseline_outcomes), self.tolerance)
        made = run.space.apply(run.program, best.setting) if best else run.program.deepcopy()
        after = _final(run, made, held_out) if best and before else None
        gain = intervals.of_difference([o.score for o in after], [o.score for o in before]) if after and before else None
        keeps = best is not None and (gain is None or gain.mean >= -self.tolerance)
        totals = run.store.totals()
        report = TuningReport(
            study=name,
            storage=_without_password(self.storage),
            trials=tuple(reports),
            chosen=best.number if best and keeps else None,
            baseline=baseline,
            pareto=_pareto(reports),
            before=intervals.of_mean([o.score for o in before]) if before else None,
            after=intervals.of_mean([o.score for o in after]) if after else None,
            gain=gain,
            cost_before=_mean_cost(before or baseline_outcomes),
            cost_after=_mean_cost(after) if after else (best.cost if best else 0.0),
            instructions={path: tuple(run.store.texts(path)) for path in run.space.instructions},
            spent=totals.spent,
            replayed=totals.replayed,
            spent_cost=totals.cost,
            verdict=_verdict(best, keeps, gain),
            notes=tuple(run.notes + _complaints(run.proposer)),
        )
        result = made if keeps else run.program.deepcopy()
        setattr(result, "tuning_report", report)  # noqa: B010 (an attribute that dspy.Module does not declare)
        return result


def _held_out(run: TuningRun, program: dspy.Module, held_out: list[dspy.Example]) -> list[Outcome] | None:
    if len(held_out) < _LEAST_HELD_OUT:
        run.notes.append("no examples were held out, so the gain is not measured on unseen ones; give a testset or a larger valset")
        return None
    return run.objective.outcomes(program, "held-out " + setting_digest(program), held_out)


def _final(run: TuningRun, program: dspy.Module, held_out: list[dspy.Example]) -> list[Outcome] | None:
    try:
        return _held_out(run, program, held_out)
    except BudgetSpent as spent:
        run.notes.append(f"{spent}, so the best trial was not scored on the held-out examples")
        return None


def _choose(reports: Sequence[TrialReport], quality: float, cost: float, tolerance: float) -> TrialReport | None:
    """The cheapest whole trial within ``tolerance`` of the best, or None where that is the baseline."""
    whole = [r for r in reports if r.state == "whole" and r.quality is not None]
    top = max([quality, *(r.quality.mean for r in whole if r.quality)])
    near = [r for r in whole if r.quality and r.quality.mean >= top - tolerance]
    best = min(near, key=lambda r: (r.cost, -(r.quality.mean if r.quality else 0.0), r.number), default=None)
    if best is None or best.quality is None:
        return None
    as_good = quality >= top - tolerance
    return None if as_good and (cost, -quality) <= (best.cost, -best.quality.mean) else best


def _pareto(reports: Sequence[TrialReport]) -> tuple[int, ...]:
    whole = [(r.number, r.quality.mean, r.cost) for r in reports if r.state == "whole" and r.quality]
    return tuple(
        number
        for number, quality, cost in whole
        if not any(q >= quality and c <= cost and (q > quality or c < cost) for _, q, c in whole)
    )


def _verdict(best: TrialReport | None, keeps: bool, gain: intervals.Interval | None) -> str:
    if best is None:
        return "nothing beat the baseline: the program is returned as it was"
    if gain is None:
        return "the best trial is returned; its gain was not measured on unseen examples"
    if not keeps:
        return f"the best trial did not hold on unseen examples ({gain}): the program is returned as it was"
    if gain.low > 0:
        return f"better on unseen examples by {gain}"
    return f"no clear difference on unseen examples ({gain}); the best trial is returned"


def _complaints(proposer: InstructionProposer | None) -> list[str]:
    if proposer is None or not proposer.failures:
        return []
    return [f"{len(proposer.failures)} instruction(s) could not be proposed, the last: {proposer.failures[-1]}"]


def _mean_cost(outcomes: Sequence[Outcome]) -> float:
    return sum(outcome.cost for outcome in outcomes) / max(1, len(outcomes))


def _study_name(program: dspy.Module, space: SearchSpace, examples: Sequence[dspy.Example]) -> str:
    parts = [setting_digest(program), space.describe(), sorted(example_digest(example) for example in examples)]
    return f"{type(program).__name__}-{hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:10]}"


def _bank_url(storage: str) -> str:
    if storage.startswith("sqlite:///") and storage.endswith(".db"):
        return f"{storage.removesuffix('.db')}-bank.db"
    return f"{storage}-bank" if storage.startswith("sqlite") else storage


def _without_password(url: str) -> str:
    from sqlalchemy.engine import make_url

    return make_url(url).render_as_string(hide_password=True)


def _check(*, trials: int, objectives: tuple[str, ...], tolerance: float, racing_error: float, holdout: float, threads: int) -> None:
    if trials < 1:
        raise ConfigurationError(f"trials must be at least 1, but got trials={trials!r}")
    if objectives not in (("quality", "cost"), ("quality",)):
        raise ConfigurationError(f"objectives must be ('quality', 'cost') or ('quality',), but got objectives={objectives!r}")
    if tolerance < 0:
        raise ConfigurationError(f"tolerance must be at least 0, but got tolerance={tolerance!r}")
    if not 0 <= racing_error < 1 or not 0 <= holdout < 1:
        raise ConfigurationError(f"racing_error and holdout must be in [0, 1), but got {racing_error!r} and {holdout!r}")
    if threads < 1:
        raise ConfigurationError(f"num_threads must be at least 1, but got num_threads={threads!r}")
