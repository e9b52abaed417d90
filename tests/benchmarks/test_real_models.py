"""The study on real models is replayed from what is in the repository, and its own arms do what they say."""

from __future__ import annotations

from pathlib import Path

import dspy
import pytest
from conftest import ScriptedLM
from shared_data import DATA, needs_data

from benchmarks.real_models.arms import MostConsistentModel, TestedElseFused
from benchmarks.real_models.plan import STUDIES
from benchmarks.real_models.recording import named
from benchmarks.real_models.replaying import RECORDINGS, about, opened, replayed
from benchmarks.real_models.tuning import tune
from dspy_fusion.serving.local.known_models import KNOWN_MODELS
from dspy_fusion.serving.recording_file import NotRecorded

STUDIED = sorted(about())


@pytest.fixture(autouse=True)
def _rows_of_the_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """A replay reads a task's rows from where everyone else would: the folder that the environment names."""
    if DATA is not None:
        monkeypatch.setenv("DSPY_FUSION_DATA", str(DATA))


@pytest.mark.parametrize("name", STUDIED)
def test_a_recording_says_where_it_comes_from(name: str) -> None:
    told, study = about()[name], STUDIES[name]
    assert told["sha256"] == KNOWN_MODELS[study.model].sha256
    assert told["model_licence"] == "Apache-2.0"
    assert told["task_licence"]
    assert told["requests"] == len(opened(study))
    assert told["sha256"].startswith(named(study.model).partition("@")[2])


def test_the_recordings_are_small_enough_to_live_in_the_repository() -> None:
    assert sum(path.stat().st_size for path in RECORDINGS.iterdir()) < 2_000_000


@needs_data
@pytest.mark.parametrize("name", STUDIED)
def test_the_study_is_replayed_without_a_model(name: str, tmp_path: Path) -> None:
    for deep in (False, True):
        if about()[name]["questions_with_every_arm" if deep else "questions"] < 2:
            continue
        summary = replayed(STUDIES[name], 2, tmp_path / str(deep), deep=deep).summary
        assert summary.found == summary.expected
        tokens = {row.strategy.name: row.tokens for row in summary.rows}
        assert tokens["oracle"] > tokens["greedy"] > 0


@needs_data
@pytest.mark.parametrize("every_knob", [False, True])
def test_tuning_is_replayed_without_a_model(every_knob: bool) -> None:
    programs, surface = tune(4, every_knob=every_knob, trials=3)
    names = [row[0] for row in programs.rows]
    assert names[:3] == ["as it was", "OptunaTuner", "random search"]
    assert ("MIPROv2" in names) == every_knob
    instructions = {row[0] for row in surface.rows}
    assert len(instructions) == (3 if every_knob else 1)


@needs_data
def test_a_question_that_was_not_recorded_stops_the_replay(tmp_path: Path) -> None:
    count = about()["gsm8k"]["questions"] + 1
    with pytest.raises(NotRecorded, match=r"lacks .* answers that were asked for"):
        replayed(STUDIES["gsm8k"], count, tmp_path / "run", deep=False)


def test_fusion_is_asked_only_where_no_candidate_passes_the_test() -> None:
    def program(code: str) -> tuple[TestedElseFused, ScriptedLM]:
        lm = ScriptedLM(lambda request: {"comparison": "none", "code": code})
        gated = TestedElseFused(
            dspy.Predict("problem -> code"), lm, n=2, tests=lambda inputs: ["assert f() == 1"], temperature=0.7
        )
        return gated, lm

    passing, lm = program("def f(): return 1")
    assert passing(problem="f").pool.chosen == 0
    assert len(lm.engine.requests) == 2
    failing, lm = program("def f(): return 2")
    assert failing(problem="f").pool.chosen is None
    assert len(lm.engine.requests) > 2


def test_slm_mux_takes_the_model_that_agrees_most_with_itself() -> None:
    wavering = ScriptedLM(lambda request: {"answer": str(request.config.seed or 0)})
    steady = ScriptedLM(lambda request: {"answer": "7" if request.config.seed else "8"})
    for lms in ([wavering, steady], [steady, wavering]):
        answer = MostConsistentModel(dspy.Predict("question -> answer"), lms, n=4)(question="?")
        assert answer.answer == "7"
