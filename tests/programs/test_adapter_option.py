from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import dspy
import pytest
from conftest import ScriptedLM, is_fusor, prompt_of, system_of

from dspy_fusion.programs import CandidateBank, ConfigurationError, Fusion, PlainAdapter, Vote
from dspy_fusion.serving import ModelCatalogue
from dspy_fusion.serving.endpoint.saved_program import load_program, save_program


def in_any_form(request: Any) -> str:
    """Answers in the form that the prompt asks for."""
    system, text = system_of(request), "fused" if "Response 1" in system_of(request) or is_fusor(request) else "yes"
    if "<answer>" in system:
        return f"<comparison>alike</comparison><answer>{text}</answer>"
    if "[[ ## answer ## ]]" in system:
        return f"[[ ## comparison ## ]]\nalike\n\n[[ ## answer ## ]]\n{text}\n\n[[ ## completed ## ]]"
    if '"answer"' in system or "JSON" in system:
        return json.dumps({"comparison": "alike", "answer": text})
    return text


def form_of(request: Any) -> str:
    system = system_of(request)
    marks = {"<answer>": "xml", "[[ ## answer ## ]]": "chat", "JSON": "json"}
    return next((name for mark, name in marks.items() if mark in system), "plain")


@pytest.fixture
def lm() -> ScriptedLM:
    lm = ScriptedLM(in_any_form)
    dspy.configure(lm=lm)
    return lm


@pytest.mark.parametrize("name", ["chat", "json", "xml", "plain"])
def test_candidates_and_fusor_are_asked_by_the_named_adapter(lm: ScriptedLM, name: Any) -> None:
    answer = Fusion(dspy.Predict("question -> answer"), n=2, adapter=name)(question="really?").answer
    assert answer in ("fused", "yes")
    assert [form_of(request) for request in lm.requests] == [name] * 3


def test_without_a_name_the_settings_decide(lm: ScriptedLM) -> None:
    with dspy.context(adapter=dspy.JSONAdapter()):
        Vote(dspy.Predict("question -> answer"), n=2)(question="really?")
    assert {form_of(request) for request in lm.requests} == {"json"}


def test_a_nested_program_keeps_its_own(lm: ScriptedLM) -> None:
    inner = Vote(dspy.Predict("question -> answer"), n=1, adapter="plain")
    Fusion(inner, n=2, adapter="json")(question="really?")
    assert sorted(form_of(request) for request in lm.requests) == ["json", "plain", "plain"]


def test_it_is_saved_loaded_and_copied_with_the_program(lm: ScriptedLM, tmp_path: Path) -> None:
    program = Fusion(dspy.Predict("question -> answer"), n=2)
    program.adapter.value = "xml"
    program.save(tmp_path / "program.json")
    again = Fusion(dspy.Predict("question -> answer"), n=2)
    again.load(tmp_path / "program.json")
    again.deepcopy()(question="really?")
    assert {form_of(request) for request in lm.requests} == {"xml"}


def test_it_comes_back_from_a_file_that_says_how_to_build_the_program(lm: ScriptedLM, tmp_path: Path) -> None:
    save_program(Vote(dspy.Predict("question -> answer"), n=1, adapter="json"), tmp_path / "p.json")
    load_program(tmp_path / "p.json", ModelCatalogue({})).program(question="really?")
    assert form_of(lm.requests[-1]) == "json"


def test_a_state_from_before_leaves_it_to_the_settings(lm: ScriptedLM) -> None:
    program = Fusion(Vote(dspy.Predict("question -> answer"), n=1), n=2, adapter="json")
    state = {name: part for name, part in program.dump_state().items() if not name.endswith("adapter")}
    program.load_state(state)
    assert program.adapter.value is None


@pytest.mark.parametrize(
    ("adapter", "message"),
    [("yaml", "adapter must be one of .*'chat'"), (dspy.JSONAdapter(), "but got a JSONAdapter; give its name")],
)
def test_another_adapter_is_refused_by_name(adapter: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Vote(dspy.Predict("question -> answer"), adapter=adapter)


def test_a_bank_tells_adapters_apart_and_knows_the_usual_one(lm: ScriptedLM, tmp_path: Path) -> None:
    bank = CandidateBank(f"sqlite:///{tmp_path / 'bank.db'}")
    for adapter, calls in ((None, 2), ("chat", 2), ("json", 4), ("json", 4)):
        Vote(dspy.Predict("question -> answer"), n=2, adapter=adapter, bank=bank)(question="really?")  # type: ignore
        assert len(lm.requests) == calls


def test_in_plain_text_comparing_or_not_is_one_question(lm: ScriptedLM, tmp_path: Path) -> None:
    bank = CandidateBank(f"sqlite:///{tmp_path / 'bank.db'}")
    dspy.configure(adapter=PlainAdapter())
    program = Fusion(dspy.Predict("question -> answer"), n=2, bank=bank)
    for compare in (True, False):
        program.compare.value = compare
        program(question="really?")
    assert len(lm.requests) == 3
    assert prompt_of(lm.requests[-1]) == "really?"
