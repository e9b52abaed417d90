"""The dial of an OptunaTuner."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dspy
import optuna
import pytest
from conftest import ScriptedLM
from tuning_problem import CAREFUL, EXAMPLES, REST, answer, exact, program

from dspy_fusion.optimizers import Budget, OptunaTuner
from dspy_fusion.optimizers.tuning.effort import EFFORTS
from dspy_fusion.programs import ConfigurationError

optuna.logging.set_verbosity(optuna.logging.WARNING)
DIALLED = ("trials", "proposals", "reflect_every", "racing_error", "holdout", "budget")


@pytest.mark.parametrize("auto", ["light", "medium", "heavy"])
def test_the_dial_sets_what_its_table_says(auto: Any) -> None:
    params = OptunaTuner(exact, auto=auto).get_params()
    assert params["auto"] == auto
    assert [params[name] for name in DIALLED] == [getattr(EFFORTS[auto], name) for name in DIALLED]
    rows = {line.split()[0].rstrip(","): line for line in (OptunaTuner.__doc__ or "").splitlines() if line.strip()}
    column = list(EFFORTS).index(auto) - 3
    fractions = {"1/4": 0.25, "1/3": 1 / 3, "1/2": 0.5}
    for name in DIALLED:
        said = rows[name].split()[column].replace(",", "")
        meant = params["budget"].calls if name == "budget" else params[name]
        assert fractions.get(said) == meant or float(said) == meant


def test_more_effort_is_more_of_everything() -> None:
    light, medium, heavy = EFFORTS.values()
    for less, more in ((light, medium), (medium, heavy)):
        assert less.trials < more.trials
        assert less.proposals < more.proposals
        assert less.racing_error > more.racing_error
        assert (less.budget.calls or 0) < (more.budget.calls or 0)


def test_an_option_that_is_given_goes_before_the_dial() -> None:
    params = OptunaTuner(exact, auto="heavy", trials=3, reflect_every=0, holdout=0.0, budget=Budget()).get_params()
    assert (params["trials"], params["reflect_every"], params["holdout"], params["budget"]) == (3, 0, 0.0, Budget())
    assert (params["proposals"], params["racing_error"]) == (8, 0.01)


def test_without_the_dial_there_is_no_budget() -> None:
    params = OptunaTuner(exact).get_params()
    assert [params[name] for name in DIALLED] == [40, 4, 10, 0.02, 1 / 3, Budget()]


def test_the_report_says_what_the_dial_stood_for(tmp_path: Path) -> None:
    tuner = OptunaTuner(
        exact,
        auto="light",
        trials=2,
        instructions=[CAREFUL],
        exclude=REST,
        num_threads=1,
        storage=f"sqlite:///{tmp_path}/tuning.db",
    )
    with dspy.context(lm=ScriptedLM(answer)):
        tuned: Any = tuner.compile(program(), valset=EXAMPLES)
    report = tuned.tuning_report
    assert len(report.trials) == 2
    assert report.before.n == 6  # a quarter of 24
    assert report.notes[0] == (
        "auto='light' stands for trials=2 (given), proposals=2, reflect_every=6, racing_error=0.05, holdout=0.25,"
        " budget=Budget(calls=5000)"
    )


def test_there_are_three_places() -> None:
    with pytest.raises(
        ConfigurationError, match="auto must be one of light, medium, heavy or None, but got auto='max'"
    ):
        OptunaTuner(exact, auto="max")  # pyright: ignore[reportArgumentType]
