"""OptunaTuner: one ``compile()`` for the fusor's prompt, N, depth, temperatures and whatever else a program exposes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import dspy
import optuna
from dspy.teleprompt import Teleprompter
from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import SQLAlchemyError

from dspy_fusion.programs import CandidateBank, RecordError, Usage
from dspy_fusion.programs.banks.databases import cause, patiently, with_driver, without_password
from dspy_fusion.programs.visible_options import VisibleOptions, refuse_unknown

from .budget import Budget, Ledger, Price, tokens
from .conclusion import conclude
from .constraints import read_constraints
from .effort import Auto, chosen_effort
from .instruction_proposals import InstructionProposer
from .metric import Metric
from .objective import Objective, example_digest
from .prompt_writing import PromptWriter
from .sampler_check import check_sampler, quiet_optuna
from .search.coordinate_sampler import CoordinateSampler
from .search_space import setting_digest
from .study import distributions, open_study
from .study_begun import Begun, study_name
from .study_store import StudyStore
from .tuner_arguments import (
    bank_url,
    check_given,
    check_options,
    space_of,
    split,
    storage_url,
)
from .tuning_report import Progress
from .tuning_run import TuningRun


class OptunaTuner(VisibleOptions, Teleprompter):
    """Tunes a program's prompts and numbers together, and says what the gain is and what it cost.

    The space is read off the program (see :class:`SearchSpace`). Trials share one bank, so a candidate is drawn once
    for all of them, and examples in one order, so trials are compared example by example and dropped once a paired test
    says they cannot win. Everything is in the storage: the same call goes on after ``kill -9``, and several processes
    or machines with the same storage share one study.

    Args:
        metric: see :class:`Objective`; higher is better.
        auto: how much effort a study takes, as in ``dspy.MIPROv2`` and ``dspy.GEPA``; it sets the six options of the
            table, and one that is given itself goes before. None stands for ``"medium"`` without a budget.
        trials: how many trials the study is to have in all, at least 1.
        storage: a path, or an SQLAlchemy URL, ``sqlite:///...`` or ``postgresql://...``.
        study: the study's name; by default one that is the same for the same program, space and examples.
        instructions: texts to choose from; see :meth:`SearchSpace.of`.
        demos: per predictor path, demo sets to choose from beside the program's own.
        proposer: a model, or an :class:`InstructionProposer`, that writes new instructions; None searches the given
            ones alone.
        proposals: how many grounded instructions to ask for at the beginning, per fusor.
        reflect_every: after how many trials to rewrite the best instruction in view of its failures; 0 for never.
        objectives: ``("quality", "cost")``, or ``("quality",)`` to search for quality alone.
        tolerance: how much quality to give up for a lower cost: of the trials within it of the best, the cheapest is
            chosen, and one that costs less is raced on while it may be within it. At 0, cost only breaks ties.
        constraints: what a returned program meets on the trials' examples: ``"quality >= 0.8"``, ``"cost <= 500"``.
        price: what an answer costs; by default its tokens.
        budget: hard limits; ``Budget()`` for none.
        sampler: any Optuna sampler; by default a :class:`CoordinateSampler` with this seed.
        racing_error: chance of dropping a trial that would have turned out just as good as is wanted; 0 to drop none.
            See :class:`Race`.
        bank: where every answer of a model is kept; by default a bank beside the storage.
        tune_task: whether the task programs' own instructions are tuned too; it takes ``instructions`` for their paths
            or a proposer.
        exclude: paths of parameters that stay as they are.
        holdout: share of the validation examples that no trial sees, in [0, 1), where ``compile`` gets no ``testset``.
        num_threads: examples at once.
        failure_score: of an example on which a program fails or the metric raises.
        max_errors: on which share of the examples a metric may raise before the trial counts as failed, in [0, 1).
        seed: of the sampler and of the examples' order.
        on_progress: called after each trial.

    ============= ======= ======== =======
    ``auto``      light   medium   heavy
    ============= ======= ======== =======
    trials        12      40       120
    proposals     2       4        8
    reflect_every 6       10       12
    racing_error  0.3     0.2      0.1
    holdout       1/4     1/3      1/2
    budget, calls 5,000   25,000   125,000
    ============= ======= ======== =======

    Raises:
        ConfigurationError: an argument is wrong, there is nothing to tune, the program always fails, or the stored
            study is another.
        MetricError: the metric fails on the program as it is.
        BudgetSpent: the budget does not suffice for scoring the program as it is, or for a single trial.
        RecordError: the storage cannot be written any more, for example because the disk is full.
    """

    def __init__(
        self,
        metric: Metric,
        *,
        auto: Auto | None = None,
        trials: int | None = None,
        storage: str | Path = "sqlite:///tuning.db",
        study: str | None = None,
        instructions: Sequence[str] | Mapping[str, Sequence[str]] | None = None,
        demos: Mapping[str, Sequence[Sequence[Any]]] | None = None,
        proposer: dspy.BaseLM | InstructionProposer | None = None,
        proposals: int | None = None,
        reflect_every: int | None = None,
        objectives: tuple[Literal["quality", "cost"], ...] = ("quality", "cost"),
        tolerance: float = 0.0,
        constraints: Sequence[str] = (),
        price: Price = tokens,
        budget: Budget | None = None,
        sampler: optuna.samplers.BaseSampler | None = None,
        racing_error: float | None = None,
        bank: CandidateBank | None = None,
        tune_task: bool = False,
        exclude: Sequence[str] = (),
        holdout: float | None = None,
        num_threads: int = 8,
        failure_score: float = 0.0,
        max_errors: float = 0.05,
        seed: int = 0,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> None:
        super().__init__()
        effort, self.effort = chosen_effort(
            auto,
            trials=trials,
            proposals=proposals,
            reflect_every=reflect_every,
            racing_error=racing_error,
            holdout=holdout,
            budget=budget,
        )
        check_options(
            effort,
            objectives=objectives,
            tolerance=tolerance,
            threads=num_threads,
            sampler=sampler,
            max_errors=max_errors,
            instructions=instructions,
        )
        self.metric, self.auto, self.trials, self.study = metric, auto, effort.trials, study
        self.storage, self.max_errors = storage_url(storage), max_errors
        self.instructions, self.demos = instructions, demos or {}
        self.proposer = InstructionProposer(proposer, seed=seed) if isinstance(proposer, dspy.BaseLM) else proposer
        self.proposals, self.reflect_every = effort.proposals, effort.reflect_every
        self.objectives, self.tolerance, self.price, self.budget = objectives, tolerance, price, effort.budget
        self.sampler, self.racing_error, self.bank = sampler, effort.racing_error, bank
        self.tune_task, self.exclude, self.holdout = tune_task, exclude, effort.holdout
        self.num_threads, self.failure_score, self.seed = num_threads, failure_score, seed
        self.constraints, self.on_progress = read_constraints(constraints), on_progress or (lambda progress: None)

    @quiet_optuna()
    def compile(
        self,
        student: dspy.Module,
        *,
        trainset: list[dspy.Example] | None = None,
        teacher: dspy.Module | None = None,
        valset: list[dspy.Example] | None = None,
        testset: list[dspy.Example] | None = None,
        **unknown: Any,
    ) -> dspy.Module:
        """Returns a tuned copy of a program, or a copy of the program as it is where nothing beat it;
        the program itself stays as it is.

        Args:
            student: any module that contains programs of this library.
            trainset: used as ``valset`` where none is given.
            teacher: not used; part of DSPy's interface.
            valset: the examples that trials are scored on.
            testset: examples for the final comparison, which no trial sees; by default a share of the valset is kept
                back for it.
            **unknown: none; anything else is refused.

        Returns:
            A program with a :class:`TuningReport` as ``tuning_report``.
        """
        refuse_unknown("OptunaTuner.compile", unknown, ("student", "trainset", "valset", "testset"))
        examples, unseen = list(valset or trainset or ()), None if testset is None else list(testset)
        check_given(student, [*examples, *(unseen or ())])
        scored_on, held_out = split(examples, unseen, holdout=self.holdout, seed=self.seed)
        run = self._run(student, scored_on, held_out)
        try:
            run.run()
            run.ledger.set_aside(Usage(), 0.0)
            with run.store.workers.at_work(), run.store.workers.turn():
                return conclude(run, storage=without_password(self.storage), tolerance=self.tolerance)
        except (SQLAlchemyError, StorageInternalError) as error:
            raise RecordError(
                f"the storage {without_password(self.storage)!r} failed: {cause(error)}; what was completed before is"
                " safe, and the same call goes on with it"
            ) from error
        finally:
            run.objective.close()
            run.store.close()

    def _run(
        self, student: dspy.Module, scored_on: Sequence[dspy.Example], held_out: Sequence[dspy.Example]
    ) -> TuningRun:
        space = space_of(student, self.instructions, self.demos, self.tune_task, self.exclude, self.proposer is None)
        check_sampler(self.sampler, space, ["maximize", "minimize"][: len(self.objectives)])
        url, name = with_driver(self.storage), self.study or study_name(student, space, scored_on)
        begun = Begun(space.describe(), setting_digest(student), tuple(map(example_digest, scored_on)))
        store = StudyStore(url, name)
        study = open_study(url, name, begun=begun, objectives=len(self.objectives))
        ledger = Ledger(self.budget, (totals := store.totals()).spent, totals.cost)
        objective = Objective(
            self.metric,
            price=self.price,
            store=store,
            bank=self.bank or patiently(lambda: CandidateBank(bank_url(url))),
            ledger=ledger,
            num_threads=self.num_threads,
            failure_score=self.failure_score,
            max_errors=int(self.max_errors * len(scored_on)),
        )
        return TuningRun(
            program=student,
            space=space,
            study=study,
            store=store,
            objective=objective,
            ledger=ledger,
            writer=PromptWriter(student, store, self.proposer, scored_on, self.proposals, self.price),
            examples=scored_on,
            held_out=held_out,
            trials=self.trials,
            sampler=self._sampler,
            racing_error=self.racing_error,
            tolerance=self.tolerance,
            reflect_every=self.reflect_every,
            on_progress=self.on_progress,
            constraints=self.constraints,
            notes=[self.effort] if self.effort else [],
        )

    def _sampler(self, place: str, run: TuningRun) -> optuna.samplers.BaseSampler:
        """Not one for the whole run, so that a killed run goes on with the very trials that it would have had."""
        return self.sampler or CoordinateSampler(
            start=run.space.read(run.program),
            space=distributions(run.space),
            unordered=run.space.unordered,
            trials=self.trials,
            examples=len(run.examples),
            seed=int(hashlib.sha256(f"{self.seed} {place}".encode()).hexdigest()[:8], 16),
        )
