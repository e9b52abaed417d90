"""What one worker says of trials that another one ended."""

from __future__ import annotations

from pathlib import Path

import dspy
from conftest import ScriptedLM
from optuna.trial import TrialState, create_trial
from tuning_problem import EXAMPLES, answer, exact, program

from dspy_fusion.optimizers import Budget, tokens
from dspy_fusion.optimizers.tuning.scores.budget import Ledger
from dspy_fusion.optimizers.tuning.scores.objective import Objective
from dspy_fusion.optimizers.tuning.scores.study_store import StudyStore
from dspy_fusion.optimizers.tuning.study import DIGEST
from dspy_fusion.optimizers.tuning.trial_reports import TrialReports
from dspy_fusion.programs import CandidateBank, Usage


def worker(folder: Path) -> Objective:
    """What one process of a study scores programs with."""
    store, bank = StudyStore(f"sqlite:///{folder / 's.db'}", "s"), CandidateBank(f"sqlite:///{folder / 'bank.db'}")
    ledger = Ledger(Budget(), Usage(), 0)
    return Objective(exact, price=tokens, store=store, bank=bank, ledger=ledger, num_threads=1, failure_score=0.0)


def test_a_trial_that_another_worker_took_up_again_is_reported_whole(tmp_path: Path) -> None:
    dspy.configure(lm=ScriptedLM(answer))
    first, other = worker(tmp_path), worker(tmp_path)
    reports = TrialReports(first, EXAMPLES)
    first.outcomes(program(), "p", EXAMPLES[:6])  # and then its race was lost
    other.outcomes(program(), "p", EXAMPLES)
    ended = create_trial(state=TrialState.COMPLETE, value=0.5, user_attrs={DIGEST: "p"})
    assert (reports.of(ended).state, reports.of(ended).scored) == ("whole", len(EXAMPLES))
    assert len(reports.complete(["p"])) == 1
    assert len(reports.outcomes("p")) == len(EXAMPLES)
