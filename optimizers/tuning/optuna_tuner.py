"""OptunaTuner: one ``compile()`` for the fusor's prompt, N, depth, temperatures and whatever else a program exposes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import dspy
import optuna
from dspy.teleprompt import Teleprompter
from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import SQLAlchemyError

from dspy_fusion.programs import CandidateBank, RecordError, Usage
from dspy_fusion.programs.banks.databases import cause, without_password
from dspy_fusion.programs.tasks.adapter_names import AdapterName
from dspy_fusion.programs.visible_options import VisibleOptions, refuse_unknown

from .conclusion import conclude
from .constraints import read_constraints
from .effort import Auto, chosen_effort
from .instruction_proposals import InstructionProposer
from .run_setup import set_up
from .sampler_check import quiet_optuna
from .scores.budget import Budget, Price, tokens
from .scores.metric import Measure, Metric
from .shown_progress import shown
from .tuner_arguments import check_given, check_options, split, storage_url
from .tuning_report import Progress


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
        demo_sets: how many further sets ``dspy.BootstrapFewShot`` makes for each fusor out of ``compile``'s trainset,
            which then has to be given beside the valset: pools whose fused answer was right.
        proposer: a model, or an :class:`InstructionProposer`, that writes new instructions; None searches the given
            ones alone.
        proposals: how many grounded instructions to ask for at the beginning, per fusor.
        reflect_every: after how many trials to rewrite the best instruction in view of its failures; 0 for never.
        objectives: ``("quality", "cost")``, ``("quality",)`` to search for quality alone, or quality and the name of
            another measure of which less is better (return the negative of one of which more is). Quality is what is
            searched; the second objective breaks ties within the tolerance, and makes the Pareto front.
        tolerance: how much quality to give up for a lower cost: of the trials within it of the best, the cheapest is
            chosen, and one that costs less is raced on while it may be within it. At 0, cost only breaks ties.
        constraints: what a returned program meets on average over the trials' examples, such as ``"quality >= 0.8 and
            cost <= 500"`` or ``"refusals <= 0.02"``. Where nothing tried meets them, the program is returned as it was,
            and the verdict says by how much each was missed.
        measures: further measures by name, each a function ``(example, prediction, usage) -> number``; ``usage`` is an
            :class:`AnswerUsage`. Names in objectives and constraints that are none of these are values that the metric
            returns beside its ``score``.
        price: what an answer costs; by default its tokens.
        budget: hard limits; ``Budget()`` for none.
        sampler: any Optuna sampler; by default a :class:`CoordinateSampler` with this seed.
        racing_error: chance of dropping a trial that would have turned out just as good as is wanted; 0 to drop none.
            See :class:`Race`.
        bank: where every answer of a model is kept; by default a bank beside the storage.
        tune_task: whether the task programs' own instructions are tuned too; it takes ``instructions`` for their paths
            or a proposer.
        adapters: ways of asking the models to choose from, beside the one in force: ``"chat"``, ``"json"``, ``"xml"``
            and ``"plain"``; the tuned program keeps its own. None is tried by default, since each has its candidates
            drawn anew.
        reasoning: rooms that candidates' reasoning may get, to choose from beside the one in force, as programs take
            them: such as ``("field", "low", "field + 1024 tokens")``; the tuned program keeps its own. What a program
            or its models do not take is left out, with a note. None is tried by default.
        exclude: paths of parameters that stay as they are.
        holdout: share of the validation examples that no trial sees, in [0, 1), where ``compile`` gets no ``testset``.
        num_threads: examples at once.
        failure_score: of an example on which a program fails or the metric raises.
        max_errors: on which share of the examples a metric may raise before the trial counts as failed, in [0, 1).
        seed: of the sampler and of the examples' order.
        on_progress: called after each trial, which is also told in a line of the log
            ``dspy_fusion.optimizers.tuning``, at level INFO.
        display_progress: whether a bar is shown, as ``dspy.Evaluate`` has it.

    ============= ======= ======== =======
    ``auto``      light   medium   heavy
    ============= ======= ======== =======
    trials        12      40       120
    proposals     2       4        8
    reflect_every 6       10       12
    racing_error  0.05    0.02     0.01
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
        demo_sets: int = 0,
        proposer: dspy.BaseLM | InstructionProposer | None = None,
        proposals: int | None = None,
        reflect_every: int | None = None,
        objectives: tuple[str, ...] = ("quality", "cost"),
        tolerance: float = 0.0,
        constraints: str | Sequence[str] = (),
        measures: Mapping[str, Measure] | None = None,
        price: Price = tokens,
        budget: Budget | None = None,
        sampler: optuna.samplers.BaseSampler | None = None,
        racing_error: float | None = None,
        bank: CandidateBank | None = None,
        tune_task: bool = False,
        adapters: Sequence[AdapterName] = (),
        reasoning: Sequence[str] = (),
        exclude: Sequence[str] = (),
        holdout: float | None = None,
        num_threads: int = 8,
        failure_score: float = 0.0,
        max_errors: float = 0.05,
        seed: int = 0,
        on_progress: Callable[[Progress], None] | None = None,
        display_progress: bool = False,
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
            measures=measures,
            adapters=adapters,
            reasoning=reasoning,
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
        self.constraints, self.measures, self.adapters = read_constraints(constraints), measures, tuple(adapters)
        self.on_progress, self.display_progress = on_progress or (lambda progress: None), display_progress
        self.demo_sets, self.reasoning = demo_sets, tuple(reasoning)

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
        """Returns a tuned copy of a program, or a copy of the program as it is where nothing beat it.

        The program itself stays as it is.

        Args:
            student: any module that contains programs of this library.
            trainset: used as ``valset`` where none is given; beside one, ``demo_sets`` are made of it.
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
        train = list(trainset or ()) if valset else []
        check_given(student, train)
        run = set_up(self, student, scored_on, held_out, train)
        try:
            with shown(self.trials, self.on_progress, has_bar=self.display_progress) as run.on_progress:
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
