"""How a study begins: what an OptunaTuner was given, opened, checked against what is stored, and put together."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import dspy
import optuna

from dspy_fusion.programs import CandidateBank
from dspy_fusion.programs.banks.databases import patiently, with_driver

from .bootstrapped_demos import with_bootstrapped_demos
from .prompt_writing import PromptWriter
from .sampler_check import check_sampler
from .scores.budget import Ledger
from .scores.objective import Objective, example_digest
from .scores.study_store import StudyStore
from .search.coordinate_sampler import CoordinateSampler
from .search_space import setting_digest
from .study import distributions, open_study
from .study_begun import Begun, study_name
from .tuner_arguments import bank_url, check_trainset, space_of
from .tuning_run import TuningRun

if TYPE_CHECKING:
    from .optuna_tuner import OptunaTuner


def set_up(
    tuner: OptunaTuner,
    student: dspy.Module,
    scored_on: Sequence[dspy.Example],
    held_out: Sequence[dspy.Example],
    train: Sequence[dspy.Example] = (),
) -> TuningRun:
    """This worker's run of a study, begun or continued; raises ``ConfigurationError`` where the stored one differs."""
    space = space_of(
        student,
        tuner.instructions,
        tuner.demos,
        tuner.tune_task,
        tuner.exclude,
        tuner.proposer is None,
        tuner.adapters,
        tuner.reasoning,
    )
    check_sampler(tuner.sampler, space, ["maximize", "minimize"][: len(tuner.objectives)])
    url, name = with_driver(tuner.storage), tuner.study or study_name(student, space, scored_on)
    begun = Begun(
        space.describe(), setting_digest(student), tuple(map(example_digest, scored_on)), tuple(wanted(tuner))
    )
    store = StudyStore(url, name)
    study = open_study(url, name, begun=begun, objectives=tuner.objectives)
    ledger = Ledger(tuner.budget, (totals := store.totals()).spent, totals.cost)
    writer = PromptWriter(student, store, tuner.proposer, scored_on, tuner.proposals, tuner.price)
    objective = _objective(tuner, store, ledger, url, len(scored_on))
    if tuner.demo_sets:
        check_trainset(train, [*scored_on, *held_out])
        with writer.accounted():
            space = with_bootstrapped_demos(
                space, student, train, tuner.metric, sets=tuner.demo_sets, bank=objective.bank, seed=tuner.seed
            )
    return TuningRun(
        program=student,
        space=space,
        study=study,
        store=store,
        objective=objective,
        ledger=ledger,
        writer=writer,
        examples=scored_on,
        held_out=held_out,
        trials=tuner.trials,
        sampler=lambda place, run: _sampler(tuner, place, run),
        racing_error=tuner.racing_error,
        tolerance=tuner.tolerance,
        reflect_every=tuner.reflect_every,
        constraints=tuner.constraints,
        objectives=tuner.objectives,
        notes=[tuner.effort] if tuner.effort else [],
    )


def wanted(tuner: OptunaTuner) -> list[str]:
    """The names of measures that objectives and constraints use beside quality and cost."""
    names = [*tuner.objectives, *(constraint.name for constraint in tuner.constraints)]
    return [name for name in dict.fromkeys(names) if name not in ("quality", "cost")]


def _objective(tuner: OptunaTuner, store: StudyStore, ledger: Ledger, url: str, examples: int) -> Objective:
    return Objective(
        tuner.metric,
        price=tuner.price,
        store=store,
        bank=tuner.bank or patiently(lambda: CandidateBank(bank_url(url))),
        ledger=ledger,
        num_threads=tuner.num_threads,
        failure_score=tuner.failure_score,
        max_errors=int(tuner.max_errors * examples),
        measures=tuner.measures,
        wanted=wanted(tuner),
    )


def _sampler(tuner: OptunaTuner, place: str, run: TuningRun) -> optuna.samplers.BaseSampler:
    """Not one for the whole run, so that a killed run goes on with the very trials that it would have had."""
    return tuner.sampler or CoordinateSampler(
        start=run.space.read(run.program),
        space=distributions(run.space),
        unordered=run.space.unordered,
        trials=tuner.trials,
        known=run.estimated,
        seed=int(hashlib.sha256(f"{tuner.seed} {place}".encode()).hexdigest()[:8], 16),
    )
