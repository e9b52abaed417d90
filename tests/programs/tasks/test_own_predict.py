"""States that were saved before fusors had a task's text and a comparison."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import dspy
import pytest
from conftest import ScriptedLM, answers, prompt_of

from dspy_fusion.programs import BestOfN, ConfigurationError, Fusion, LMJudge


def saved(program: dspy.Module, path: Path, **changes: Any) -> dict[str, Any]:
    """The state of a program as an earlier version saved it."""
    program.save(path)
    state = json.loads(path.read_text())
    state.pop("compare", None)
    for name, part in state.items():
        if name in ("fusor", "scorer.judge"):
            fields = part["signature"]["fields"]
            part["signature"]["fields"] = [f for f in fields if f["prefix"] not in ("Task:", "Comparison:")]
            part["signature"]["instructions"] = "Tuned long ago."
            part["signature"]["fields"][0]["description"] = "what is asked"
            part.update(changes)
    path.write_text(json.dumps(state))
    return state


def test_an_older_fusion_is_loaded_as_it_was(tmp_path: Path) -> None:
    saved(Fusion(dspy.Predict("question -> answer")), tmp_path / "old.json")
    program = Fusion(dspy.Predict("question -> answer"), n=2)
    program.load(tmp_path / "old.json")
    fields = program.fusor.signature.fields
    assert program.compare.value is False
    assert program.fusor.signature.instructions == "Tuned long ago."
    assert fields["question"].json_schema_extra["desc"] == "what is asked"
    assert fields["task"].json_schema_extra["prefix"] == "Task:"
    lm = ScriptedLM(answers("a", "b"))
    with dspy.context(lm=lm):
        assert program(question="q").answer == "fused"
    assert "comparison" not in prompt_of(lm.requests[-1])


def test_an_older_judge_is_loaded_as_it_was(tmp_path: Path) -> None:
    saved(BestOfN(dspy.Predict("question -> answer"), n=2, scorer=LMJudge()), tmp_path / "old.json")
    program = BestOfN(dspy.Predict("question -> answer"), n=2, scorer=LMJudge())
    program.load(tmp_path / "old.json")
    fields = program.scorer.judge.signature.fields
    assert [field.json_schema_extra["prefix"] for field in fields.values()] == [
        "Task:", "Question:", "Candidates:", "Verdict:",
    ]  # fmt: skip
    assert fields["question"].json_schema_extra["desc"] == "what is asked"


def test_a_state_with_other_fields_is_refused_in_one_line(tmp_path: Path) -> None:
    saved(Fusion(dspy.Predict("context, question -> answer")), tmp_path / "old.json")
    program = Fusion(dspy.Predict("question -> answer"))
    before = program.dump_state()
    with pytest.raises(
        ConfigurationError, match=r"^the saved state has the fields Context, Question.*save the program"
    ):
        program.load(tmp_path / "old.json")
    assert program.dump_state() == before
