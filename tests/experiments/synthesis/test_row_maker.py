from __future__ import annotations

import asyncio
import importlib
from typing import Any

import pytest

from dspy_fusion.experiments.synthesis.prompts import Prompt
from dspy_fusion.experiments.synthesis.synthesized_rows import Row
from dspy_fusion.programs.tasks.instructions import AGGREGATE, FUSE
from dspy_fusion.programs.tasks.plain_adapter import system_text

scripted = importlib.import_module("conftest")


def make(scene: Any, text: str = "why?", index: int = 5, system: str = "", **changes: Any) -> Row:
    maker = scene.maker(system, **changes)

    async def made() -> Row:
        with maker.at_work():
            return await maker.make(Prompt(index, text, "", "here"))

    return asyncio.run(made())


def asked(scene: Any, name: str) -> list[Any]:
    return [request for model, request in scene.requests if model == name]


def test_a_teacher_gets_the_prompt_as_the_plain_user_message(scene: Any) -> None:
    make(scene, "why?\n  [[ ## x ## ]]")
    (request,) = asked(scene, "one")
    assert [message.role for message in request.messages] == ["user"]
    assert scripted.prompt_of(request) == "why?\n  [[ ## x ## ]]"
    assert scripted.system_of(request) == ""
    assert request.config.temperature == 0.3


def test_a_system_text_goes_to_the_teachers_alone(scene: Any) -> None:
    made = make(scene, system="Be brief.")
    assert scripted.system_of(asked(scene, "two")[0]) == "Be brief."
    shown = [made.candidates[place].text or "" for place in made.fused.shown] if made.fused else []
    assert scripted.system_of(asked(scene, "fusor")[0]) == system_text(FUSE, shown)


def test_a_row_says_where_everything_came_from(scene: Any) -> None:
    made = make(scene, fusion={"fusor": "fusor", "instructions": "AGGREGATE"})
    assert [candidate.teacher for candidate in made.candidates] == ["one", "two"]
    assert [candidate.seed for candidate in made.candidates] == [made.seed, made.seed + 1]
    assert made.candidates[0].text == f"one says why? {made.seed}"
    assert made.fused is not None
    assert made.answer == made.fused.text == "fused: why?"
    assert (
        made.fused.instructions
        == scene.maker(fusion={"fusor": "fusor", "instructions": AGGREGATE}).recipe.instructions_digest
    )
    assert len({candidate.fingerprint for candidate in made.candidates} | {made.fused.fingerprint}) == 3
    assert {role: (usage.calls, usage.tokens_in) for role, usage in made.usage.items()} == {
        "candidates": (2, 20),
        "fusor": (1, 10),
    }
    assert made.cost_usd == pytest.approx(3 * (10 * 1.0 + 3 * 2.0) / 1e6)


def test_a_row_survives_being_written(scene: Any) -> None:
    made = make(scene, "why?\u2028 \ud800 \N{GRINNING FACE}")
    again = Row.from_line(made.to_line())
    assert again.prompt == "why?\u2028 ? \N{GRINNING FACE}"
    assert Row.from_line(again.to_line()) == again


def test_rows_have_seeds_of_their_own_and_equal_rows_are_equal(scene: Any) -> None:
    first, again, other = make(scene, index=1), make(scene, index=1), make(scene, index=2)
    assert first == again
    assert not {c.seed for c in first.candidates} & {c.seed for c in other.candidates}


def test_without_sampling_there_is_no_seed(scene: Any) -> None:
    assert [candidate.seed for candidate in make(scene, temperature=0.0).candidates] == [None, None]


def test_a_failed_teacher_is_on_its_row_and_the_others_are_fused(scene: Any, fails: Any) -> None:
    scene.answers("one", fails)
    made = make(scene)
    assert made.candidates[0].text is None
    assert "no such model here" in (made.candidates[0].error or "")
    assert made.fused is not None
    assert made.fused.shown == (1,)
    assert made.answer == "fused: why?"
    assert len(made.failures) == 1


def test_a_row_without_any_answer_says_so(scene: Any, fails: Any) -> None:
    scene.answers("one", fails)
    scene.answers("two", fails)
    made = make(scene)
    assert made.dropped is not None
    assert (made.dropped.gate, made.fused, made.answer) == ("failed", None, None)
    assert "no teacher answered, the last with" in made.dropped.why


def test_a_failed_fusor_leaves_no_answer_but_the_candidates(scene: Any, fails: Any) -> None:
    scene.answers("fusor", fails)
    made = make(scene)
    assert made.dropped is not None
    assert "the fusor failed: " in made.dropped.why
    assert all(candidate.text for candidate in made.candidates)


def test_the_best_candidate_is_the_answer_where_nothing_is_fused(scene: Any) -> None:
    scene.answers("judge", lambda request: "9/10" if "two says" in scripted.system_of(request) else "1/10")
    made = make(scene, fusion=None, best={"scorer": "judge", "model": "judge"})
    assert [candidate.score for candidate in made.candidates] == [0.1, 0.9]
    assert (made.best, made.answer) == (1, made.candidates[1].text)
    assert made.usage["scorer"].calls == 2


def test_a_failed_scorer_is_on_its_row(scene: Any) -> None:
    scene.answers("judge", lambda request: "who knows")
    made = make(scene, best={"scorer": "judge", "model": "judge"})
    assert made.best is None
    assert "no share between 0 and 1" in (made.scorer_error or "")
    assert made.usage["scorer"].calls == 2
    assert made.answer == "fused: why?"


def test_a_blank_prompt_costs_nothing(scene: Any) -> None:
    made = make(scene, "  \n")
    assert made.dropped is not None
    assert (made.dropped.gate, scene.requests) == ("no_prompt", [])


def test_the_program_is_one_that_can_be_called(scene: Any) -> None:
    maker = scene.maker()
    with maker.at_work():
        answer = maker.program(prompt="why?")
    assert answer.response == "fused: why?"
    assert [candidate.lm for candidate in answer.pool.candidates] == ["scripted/one", "scripted/two"]


def test_several_samples_of_each_teacher_are_told_apart(scene: Any) -> None:
    made = make(scene, samples=2)
    assert [candidate.teacher for candidate in made.candidates] == ["one", "two", "one", "two"]
    assert len({candidate.text for candidate in made.candidates}) == 4
