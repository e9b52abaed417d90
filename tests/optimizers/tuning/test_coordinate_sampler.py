from __future__ import annotations

from typing import Any

import optuna

from dspy_fusion.optimizers import CoordinateSampler

optuna.logging.set_verbosity(optuna.logging.WARNING)
START = {"n": 2, "heat": 0.9, "text": "own"}


def worth(trial: Any) -> float:
    """Best at "good", n=6, heat 0.3."""
    n, heat = trial.suggest_int("n", 1, 8), trial.suggest_float("heat", 0.0, 0.9, step=0.3)
    text = trial.suggest_categorical("text", ("own", "bad", "good"))
    return {"own": 0.0, "bad": -1.0, "good": 1.0}[text] - abs(n - 6) / 8 - abs(heat - 0.3)


def study(trials: int, seed: int = 0) -> optuna.Study:
    made = optuna.create_study(direction="maximize", sampler=CoordinateSampler(start=START, trials=20, seed=seed))
    made.optimize(worth, n_trials=trials)
    return made


def steps(made: optuna.Study) -> list[str]:
    return [trial.user_attrs.get("step", "") for trial in made.trials]


def test_it_begins_at_the_start_and_tries_each_text_there() -> None:
    first, *texts = study(3).trials
    assert first.params == START
    assert sorted(trial.params["text"] for trial in texts) == ["bad", "good"]
    assert all({**trial.params, "text": "own"} == START for trial in texts)


def test_every_trial_says_which_step_proposed_it() -> None:
    said = steps(study(12))
    assert said[1:3] == ["each text"] * 2
    assert {"elsewhere", "joint"} <= set(said)


def test_it_finds_the_optimum_where_random_search_has_tried_a_fifth_of_the_points() -> None:
    assert study(20).best_params == {"n": 6, "heat": 0.3, "text": "good"}


def test_no_point_is_proposed_twice() -> None:
    trials = study(30).trials
    assert len({str(sorted(trial.params.items())) for trial in trials}) == 30


def test_what_is_proposed_follows_from_the_trials_alone() -> None:
    whole, half = study(14), study(7)
    half.sampler = CoordinateSampler(start=START, trials=20)
    half.optimize(worth, n_trials=7)
    assert [t.params for t in half.trials] == [t.params for t in whole.trials]


def test_what_a_constraint_forbids_is_never_the_incumbent() -> None:
    made = optuna.create_study(
        direction="maximize", sampler=CoordinateSampler(start=START, trials=20, elsewhere=0.1, levels=1)
    )
    for _ in range(9):
        trial = made.ask()
        value = worth(trial)
        trial.set_constraint("none of that", 1.0 if trial.params["text"] == "good" else -1.0)
        made.tell(trial, value)
    swept = [trial for trial in made.trials if trial.user_attrs.get("step", "").startswith("sweep")]
    assert len(swept) == 2
    assert all(trial.params["text"] != "good" for trial in swept)


def test_a_queued_point_is_taken_as_it_is() -> None:
    made = optuna.create_study(direction="maximize", sampler=CoordinateSampler(start=START))
    made.optimize(worth, n_trials=2)
    made.enqueue_trial({"n": 8, "heat": 0.0, "text": "bad"})
    made.optimize(worth, n_trials=1)
    assert made.trials[-1].params == {"n": 8, "heat": 0.0, "text": "bad"}
    assert "step" not in made.trials[-1].user_attrs


def test_it_minimizes_and_searches_the_first_of_two_objectives() -> None:
    made = optuna.create_study(directions=["minimize", "minimize"], sampler=CoordinateSampler(start=START, trials=20))
    made.optimize(lambda trial: (-worth(trial), trial.params["n"]), n_trials=20)
    best = min(made.trials, key=lambda trial: trial.values[0])
    assert best.params["text"] == "good"
    assert abs(best.params["n"] - 6) <= 1


def test_at_the_end_dropped_trials_are_taken_up_again_the_most_hopeful_first() -> None:
    made = optuna.create_study(direction="maximize", sampler=CoordinateSampler(start=START, trials=12, again=0.25))
    for _ in range(12):
        trial = made.ask()
        value = worth(trial)
        if 0 < trial.number < 9 and trial.number % 2:
            trial.report(value, 10)
            made.tell(trial, state=optuna.trial.TrialState.PRUNED)
        else:
            made.tell(trial, value)
    again = [trial for trial in made.trials if trial.user_attrs.get("step") == "again"]
    dropped = {str(trial.params): trial.value for trial in made.trials if trial.state.name == "PRUNED"}
    assert [trial.number for trial in again] == [9, 10, 11]
    assert max(dropped, key=lambda key: dropped[key]) in {str(trial.params) for trial in again}
    assert len({str(trial.params) for trial in again}) == 3


def test_numbers_are_swept_where_that_is_asked_for() -> None:
    made = optuna.create_study(direction="maximize", sampler=CoordinateSampler(start=START, trials=20, levels=1))
    made.optimize(worth, n_trials=14)
    swept = [trial for trial in made.trials if trial.user_attrs.get("step", "").startswith("sweep")]
    assert {trial.user_attrs["step"] for trial in swept} == {"sweep n", "sweep heat"}
    for trial in swept:
        others = [other.params for other in made.trials[: trial.number]]
        assert any(sum(other[name] != trial.params[name] for name in START) == 1 for other in others)


def test_what_a_constraint_forbids_is_searched_less_and_less() -> None:
    made = optuna.create_study(direction="maximize", sampler=CoordinateSampler(start=START, trials=24, elsewhere=0.2))
    for _ in range(24):
        trial = made.ask()
        value = worth(trial)
        trial.set_constraint("at most 4", trial.params["n"] - 4.0)
        made.tell(trial, value)
    late = [trial.params["n"] for trial in made.trials[12:]]
    assert sum(n <= 4 for n in late) > len(late) / 2
    allowed = [trial for trial in made.trials if trial.params["n"] <= 4]
    best = max(allowed, key=lambda trial: trial.value or -9.0)
    assert (best.params["text"], best.params["n"]) == ("good", 4)
