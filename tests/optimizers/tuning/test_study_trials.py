"""What the tuner writes is what Optuna would have written: read by Optuna's own storage, as optuna-dashboard does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState, create_trial

from dspy_fusion.optimizers.tuning.study import TunedStudy, open_study, tell_dropped, tell_failed, tell_whole
from dspy_fusion.optimizers.tuning.study_begun import Begun

DISTRIBUTIONS: dict[str, Any] = {
    "n": optuna.distributions.IntDistribution(1, 8),
    "temperature": optuna.distributions.FloatDistribution(0.1, 1.3, step=0.3),
    "kind": optuna.distributions.CategoricalDistribution(("plain", None, True)),
}
PARAMS = {"n": 3, "temperature": 0.7, "kind": None}


@pytest.fixture(params=[1, 2], ids=["quality", "quality and cost"])
def study(tmp_path: Path, request: pytest.FixtureRequest) -> TunedStudy:
    return opened(tmp_path, request.param)


def opened(folder: Path, objectives: int) -> TunedStudy:
    return open_study(
        f"sqlite:///{folder / 's.db'}", "s", begun=Begun({}, "p", ()), objectives=["quality", "cost"][:objectives]
    )


def begin(study: TunedStudy) -> Any:
    begun = create_trial(
        state=TrialState.RUNNING, params=PARAMS, distributions=DISTRIBUTIONS, user_attrs={"worker": "w", "program": "d"}
    )
    study.add_trial(begun)
    return study.look()[-1]


def plain(trial: Any) -> dict[str, Any]:
    named = ("number", "state", "values", "params", "distributions", "user_attrs", "constraints", "intermediate_values")
    return {name: getattr(trial, name) for name in named} | {
        "id": trial._trial_id,
        "at": (trial.datetime_start, trial.datetime_complete),
    }


def end(study: TunedStudy) -> None:
    """A trial of each kind: whole, dropped, failed, under way and queued."""
    assert tell_whole(study, begin(study), [0.5, 10.0])
    assert tell_dropped(study, begin(study), [0.25, 12.5], scored=6, shortfall=0.1)
    assert tell_failed(study, begin(study), "the metric raised")
    begin(study)
    study.enqueue_trial({"n": 1})


def test_optuna_reads_what_was_written(study: TunedStudy, tmp_path: Path) -> None:
    end(study)
    read = optuna.load_study(study_name="s", storage=f"sqlite:///{tmp_path / 's.db'}").get_trials()
    assert [trial.number for trial in read] == [0, 1, 2, 3, 4]
    whole, dropped, failed, running, queued = read
    two = len(study.directions) == 2
    assert (whole.params, whole.distributions, whole.values) == (PARAMS, DISTRIBUTIONS, [0.5, 10.0] if two else [0.5])
    assert (dropped.state, dropped.constraints) == (TrialState.COMPLETE if two else TrialState.PRUNED, {"dropped": 0.1})
    assert dropped.user_attrs == {"worker": "w", "program": "d", "dropped": 6}
    assert (failed.state, failed.user_attrs["cause"], failed.values) == (TrialState.FAIL, "the metric raised", None)
    assert [trial.state for trial in (running, queued)] == [TrialState.RUNNING, TrialState.WAITING]
    assert whole.duration is not None
    assert running.duration is None


def test_optunas_trials_are_read_as_optuna_reads_them(tmp_path: Path) -> None:
    study = opened(tmp_path, 2)
    other = optuna.load_study(study_name="s", storage=f"sqlite:///{tmp_path / 's.db'}")
    end(study)
    for values in ([1.0, float("inf")], [float("-inf"), 2.0]):
        asked = other.ask(DISTRIBUTIONS)
        asked.set_constraint("c", 1.0)
        other.tell(asked, values)
    other.ask(DISTRIBUTIONS)
    assert [plain(trial) for trial in study.look()] == [plain(trial) for trial in other.get_trials()]
    assert [plain(trial) for trial in opened(tmp_path, 2).look()] == [plain(trial) for trial in other.get_trials()]


def test_a_trial_that_another_worker_has_ended_is_not_ended_again(study: TunedStudy) -> None:
    trial = begin(study)
    assert tell_failed(study, trial, "taken for dead")
    assert not tell_whole(study, trial, [0.5, 10.0])
    (found,) = study.look()
    assert (found.state, found.values) == (TrialState.FAIL, None)


def test_what_others_end_is_seen_at_the_next_look(tmp_path: Path) -> None:
    one, other = opened(tmp_path, 2), opened(tmp_path, 2)
    trial, later = begin(one), begin(other)
    assert [t.state for t in other.look()] == [TrialState.RUNNING] * 2
    tell_whole(other, later, [0.5, 1.0])
    assert [t.state for t in one.look()] == [TrialState.RUNNING, TrialState.COMPLETE]
    tell_whole(one, trial, [0.25, 1.0])
    assert [t.values for t in other.look()] == [[0.25, 1.0], [0.5, 1.0]]
