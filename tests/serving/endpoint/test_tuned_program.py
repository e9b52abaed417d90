"""A tuned program is served as it was tuned: asked by its own adapter, with its own room for reasoning."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import dspy
from tuning_problem import EXAMPLES, REST, program, tuner

from dspy_fusion.programs import Fusion
from dspy_fusion.serving import ModelCatalogue
from dspy_fusion.serving.endpoint.saved_program import load_program, save_program
from dspy_fusion.serving.endpoint.served_program import ServedProgram
from dspy_fusion.serving.endpoint.server import endpoint_server

from .conftest import ask

scripted = importlib.import_module("conftest")


def in_json_after_reasoning(request: Any) -> Any:
    """Right in JSON, and where it may reason first."""
    system = scripted.system_of(request)
    asked = "JSON" in system and ("reasoning" in system or scripted.is_fusor(request))
    right = '"yes"' in scripted.prompt_of(request) if scripted.is_fusor(request) else asked
    fields = {"reasoning": "one, two", "comparison": "alike", "answer": "yes" if right else "no"}
    return json.dumps(fields) if "JSON" in system else fields


def test_a_tuned_program_is_served_with_its_adapter_and_its_room(tmp_path: Path) -> None:
    dspy.configure(lm=(lm := scripted.ScriptedLM(in_json_after_reasoning)))
    options: dict[str, Any] = {"adapters": ["json"], "reasoning": ["field"], "exclude": (*REST, "n", "compare")}
    tuned = tuner(tmp_path, instructions=[], trials=8, **options).compile(program(), valset=EXAMPLES)
    assert (tuned.adapter.value, tuned.reasoning.value) == ("json", "field")
    save_program(tuned, tmp_path / "tuned.json")
    loaded = load_program(tmp_path / "tuned.json", ModelCatalogue({}))
    served = loaded.program
    assert isinstance(served, Fusion)
    served.lms, served.fusor_lm = [lm], lm
    lm.requests.clear()
    with endpoint_server([ServedProgram("tuned", served, adapter=loaded.adapter)]) as url:
        reply = ask(url, "tuned", "q1")
    assert reply.json()["choices"][0]["message"]["content"] == "yes"
    systems = [scripted.system_of(request) for request in lm.requests]
    assert len(systems) == 2
    assert all("JSON" in system for system in systems)
    assert "reasoning" in systems[0]
