from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any, cast

import dspy
import pytest
from conftest import ScriptedLM, is_fusor, system_of

from dspy_fusion.programs import CandidateBank, ConfigurationError, Fusion, PlainAdapter, QuorumNotMet, Vote
from dspy_fusion.serving import ModelCatalogue
from dspy_fusion.serving.endpoint.saved_program import load_program, save_program


def thinks(request: Any) -> Any:
    """Writes ``thought`` where it is asked to reason, in the form that the prompt asks for."""
    system = system_of(request)
    room = "reasoning" in system or "step by step" in system
    answer = "fused" if is_fusor(request) else "thought" if room else "guessed"
    fields = {"reasoning": "one, two, three", "comparison": "alike", "answer": answer}
    if "[[ ## answer ## ]]" in system:
        return fields
    if "<answer>" in system:
        return "".join(f"<{name}>{text}</{name}>" for name, text in fields.items())
    if "JSON" in system:
        return json.dumps(fields)
    return f"one, two, three\n\nAnswer: {answer}" if room else answer


@pytest.fixture
def lm() -> ScriptedLM:
    lm = ScriptedLM(thinks)
    dspy.configure(lm=lm)
    return lm


def asked(lm: ScriptedLM) -> tuple[bool, Any, Any]:
    """Of the last request: whether reasoning was asked for, the effort and the limit that were sent."""
    request = lm.requests[-1]
    config = request.config
    effort = getattr(config.reasoning, "effort", None) if config.reasoning is not None else None
    effort = effort or (config.extensions or {}).get("reasoning_effort")
    return "reasoning" in system_of(request) or "step by step" in system_of(request), effort, config.max_tokens


@pytest.mark.parametrize("adapter", ["chat", "json", "xml", "plain"])
def test_a_field_for_reasoning_comes_first_and_goes_no_further(lm: ScriptedLM, adapter: Any) -> None:
    task = dspy.Predict("question -> answer")
    answer = Vote(task, n=2, adapter=adapter, reasoning="field")(question="really?")
    assert answer.toDict() == {"answer": "thought"}
    assert asked(lm)[0]
    assert list(cast("Any", task.signature).output_fields) == ["answer"]
    assert Vote(task, n=2, adapter=adapter)(question="really?").answer == "guessed"
    assert not asked(lm)[0]


def test_the_adapter_of_the_settings_gets_it_too(lm: ScriptedLM) -> None:
    with dspy.context(adapter=dspy.JSONAdapter()):
        assert Vote(dspy.Predict("question -> answer"), n=1, reasoning="field")(question="really?").answer == "thought"
    assert "JSON" in system_of(lm.requests[-1])


def test_effort_and_tokens_are_sent_with_each_candidate_and_not_with_the_fusor(lm: ScriptedLM) -> None:
    program = Fusion(dspy.Predict("question -> answer"), n=2, reasoning="high + 300 tokens")
    assert program(question="really?").answer == "fused"
    configs = [(request.config.max_tokens, "high" in repr(request.config)) for request in lm.requests]
    assert configs[:2] == [(300, True)] * 2
    assert configs[2] != (300, True)
    assert not configs[2][1]


def test_a_field_that_the_program_has_is_not_asked_for_twice(lm: ScriptedLM) -> None:
    answer = Vote(dspy.ChainOfThought("question -> answer"), n=1, fields=["answer"], reasoning="field")(question="?")
    assert answer.reasoning == "one, two, three"
    assert system_of(lm.requests[-1]).count("[[ ## reasoning ## ]]") == 1


def test_it_holds_for_awaited_calls(lm: ScriptedLM) -> None:
    program = Vote(dspy.Predict("question -> answer"), n=2, reasoning="field")
    assert asyncio.run(program.acall(question="really?")).toDict() == {"answer": "thought"}


@pytest.mark.parametrize(
    ("completion", "answer"),
    [
        ("4 + 4 = 8\nAnswer: 8", "8"),
        ("Answer: 7, or rather:\n\n**Answer:** 8", "8"),
        ("4 + 4 = 8\n\n**Final answer**: 8", "8"),
        ("So it is 8.\nThe answer is 8", "8"),
        ("### Answer:\neight,\nin words", "eight,\nin words"),
    ],
)
def test_a_plain_answer_is_what_follows_its_mark(completion: str, answer: str) -> None:
    dspy.configure(lm=ScriptedLM(lambda request: completion), adapter=PlainAdapter())
    assert Vote(dspy.Predict("question -> answer"), n=1, reasoning="field")(question="4 + 4?").answer == answer


def test_a_plain_answer_without_its_mark_is_none() -> None:
    dspy.configure(lm=ScriptedLM(lambda request: "I think, therefore"), adapter=PlainAdapter())
    with pytest.raises(QuorumNotMet, match="begin its answer with 'Answer:'"):
        Vote(dspy.Predict("question -> answer"), n=1, reasoning="field")(question="really?")


def test_it_is_saved_loaded_copied_and_nested_with_the_program(lm: ScriptedLM, tmp_path: Path) -> None:
    program = Vote(dspy.Predict("question -> answer"), n=1)
    program.reasoning.value = "field + 200 tokens"
    program.save(tmp_path / "program.json")
    again = Vote(dspy.Predict("question -> answer"), n=1)
    again.load(tmp_path / "program.json")
    Fusion(again.deepcopy(), n=1)(question="really?")
    assert (asked_of := lm.requests[0]).config.max_tokens == 200
    assert "reasoning" in system_of(asked_of)


def test_it_comes_back_from_a_file_that_says_how_to_build_the_program(lm: ScriptedLM, tmp_path: Path) -> None:
    save_program(Vote(dspy.Predict("question -> answer"), n=1, reasoning="field"), tmp_path / "p.json")
    assert load_program(tmp_path / "p.json", ModelCatalogue({})).program(question="really?").answer == "thought"


def test_a_state_from_before_leaves_it_to_the_model(lm: ScriptedLM) -> None:
    program = Fusion(Vote(dspy.Predict("question -> answer"), n=1), n=2, reasoning="low")
    program.load_state({name: part for name, part in program.dump_state().items() if not name.endswith("reasoning")})
    assert program.reasoning.value is None


def test_a_bank_tells_rooms_apart(lm: ScriptedLM, tmp_path: Path) -> None:
    bank = CandidateBank(f"sqlite:///{tmp_path / 'bank.db'}")
    for room, calls in ((None, 2), ("field", 4), ("low", 6), ("90 tokens", 8), ("field", 8), (None, 8)):
        Vote(dspy.Predict("question -> answer"), n=2, reasoning=room, bank=bank)(question="really?")
        assert len(lm.requests) == calls


def test_an_inner_program_of_a_reasoned_one_is_kept_apart_in_the_bank(lm: ScriptedLM, tmp_path: Path) -> None:
    bank = CandidateBank(f"sqlite:///{tmp_path / 'bank.db'}")
    for room, answer, calls in ((None, "guessed", 1), ("field", "thought", 2), ("field", "thought", 2)):
        inner = Vote(dspy.Predict("question -> answer"), n=1, bank=bank)
        assert Vote(inner, n=1, reasoning=room)(question="really?").answer == answer
        assert len(lm.requests) == calls


@pytest.mark.parametrize(
    ("room", "message"),
    [
        ("much", r"the part 'much', which means nothing; it is made of 'field', one of none, minimal"),
        ("0 tokens", "the part '0 tokens', which means nothing"),
        ("low + high", "says twice what it means by 'high'"),
        ("", "the part '', which means nothing"),
        (512, "reasoning must be a text or None, but got reasoning=512"),
    ],
)
def test_a_room_that_means_nothing_is_refused(room: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Vote(dspy.Predict("question -> answer"), reasoning=room)
