"""A saved program is built again from its file alone, and what cannot be written down is refused by name."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import dspy
import pytest
from dspy.signatures.signature import make_signature
from pydantic import BaseModel, ConfigDict

from dspy_fusion.programs import (
    BestOfN,
    ConfigurationError,
    Fusion,
    Likelihood,
    LMJudge,
    MissingKey,
    PlainAdapter,
    ProposeAggregate,
    Vote,
)
from dspy_fusion.serving import ModelCatalogue, ModelEntry, embedded_lm, load_models
from dspy_fusion.serving.embedded.arithmetic import TASK_INSTRUCTIONS
from dspy_fusion.serving.endpoint.saved_program import load_program, save_program

SHEET = "(a) 12 + 30\n(b) 745 - 98"
OWN: dict[str, Any] = {"lms": [embedded_lm("plus"), embedded_lm("minus")], "temperature": 0.9, "seed": 3}
FUSING: dict[str, Any] = {**OWN, "fusor_lm": embedded_lm("aft")}


def sheets() -> dspy.Predict:
    return dspy.Predict(make_signature("worksheet -> answers", TASK_INSTRUCTIONS))


PROGRAMS: dict[str, Callable[[], dspy.Module]] = {
    "Fusion": lambda: Fusion(sheets(), n=3, on_fusor_failure="raise", **FUSING),
    "ProposeAggregate": lambda: ProposeAggregate(sheets(), width=2, depth=2, deadline_seconds=60, **FUSING),
    "Vote": lambda: Vote(sheets(), n=3, weights=Likelihood(), fields=["answers"], quorum=2, **OWN),
    "BestOfN": lambda: BestOfN(
        sheets(), n=2, scorer=LMJudge(embedded_lm("judge")), threshold=0.99, max_concurrency=1, **OWN
    ),
    "adaptive": lambda: Fusion(sheets(), n="auto", max_n=6, stopping="optimal", gate=0.8, by_field=True, **FUSING),
    "unseeded": lambda: Vote(sheets(), n=1, lms=OWN["lms"], temperature=None, seed=None),
}


@pytest.mark.parametrize("kind", PROGRAMS)
def test_a_program_is_built_from_its_file_alone(kind: str, tmp_path: Path) -> None:
    program = PROGRAMS[kind]()
    program.program.demos = [dspy.Example(worksheet="(a) 1 + 1", answers="(a) 1 + 1 = 2")]
    save_program(program, tmp_path / "mine.json", adapter=PlainAdapter())
    loaded = load_program(tmp_path / "mine.json", ModelCatalogue.builtin())
    assert (loaded.name, type(loaded.adapter), loaded.program.dump_state()) == (
        "mine",
        PlainAdapter,
        program.dump_state(),
    )
    assert (loaded.program.seed, loaded.program.quorum) == (program.seed, program.quorum)
    if kind != "unseeded":
        with dspy.context(adapter=PlainAdapter()):
            assert loaded.program(worksheet=SHEET).toDict() == program(worksheet=SHEET).toDict()


def test_the_file_is_still_one_that_dspy_loads(tmp_path: Path) -> None:
    program = Fusion(sheets(), n=3, **FUSING)
    program.n.value = 7
    save_program(program, tmp_path / "p.json", name="tuned")
    fresh = Fusion(sheets(), n=3)
    fresh.load(tmp_path / "p.json")
    assert fresh.n.value == 7


def test_types_of_fields_come_back(tmp_path: Path) -> None:
    class Typed(dspy.Signature):
        """Sort."""

        words: list[str] = dspy.InputField()
        limit: int | None = dspy.InputField()
        kind: Literal["a", "b"] = dspy.OutputField()
        counts: dict[str, int] = dspy.OutputField(desc="how often")

    program = Vote(dspy.ChainOfThought(Typed), n=1, lms=[embedded_lm("aft")])
    save_program(program, tmp_path / "p.json")
    loaded = load_program(tmp_path / "p.json", ModelCatalogue.builtin()).program
    assert {n: f.annotation for n, f in loaded.signature.fields.items()} == {
        n: f.annotation for n, f in program.signature.fields.items()
    }
    assert loaded.program.predictors()[0].signature.instructions == "Sort."


def test_models_with_an_address_go_by_their_catalogue_name(tmp_path: Path) -> None:
    (tmp_path / "models.toml").write_text(
        '[mine]\nmodel = "hosted_vllm/m"\naddress = "http://localhost:1/v1"\nkey = "TEST_SAVED_KEY"'
    )
    lm = dspy.LM("hosted_vllm/m", api_base="http://localhost:1/v1", api_key="sk-secret", cache=False)
    program = Vote(sheets(), n=1, lms=[lm])
    routed = ModelEntry("hosted_vllm/m", addresses=("http://localhost:1/v1", "http://localhost:2/v1")).lm()
    with pytest.raises(ConfigurationError, match="has addresses of its own; name it"):
        save_program(Vote(sheets(), n=1, lms=[routed]), tmp_path / "p.json")
    with pytest.raises(ConfigurationError, match=r"'hosted_vllm/m' has addresses of its own; name it: save_program"):
        save_program(program, tmp_path / "p.json")
    save_program(program, tmp_path / "p.json", models={"mine": lm})
    assert "sk-secret" not in (tmp_path / "p.json").read_text()
    with pytest.raises(MissingKey, match="set the environment variable TEST_SAVED_KEY"):
        load_program(tmp_path / "p.json", load_models(tmp_path / "models.toml"))


class Place(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str


PLACES: Any = dspy.Signature({"a": (str, dspy.InputField()), "b": (Place, dspy.OutputField())})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (sheets, "a program of the kind 'Predict' cannot be kept in a file; there are BestOfN, Vote, Fusion"),
        (lambda: Fusion(sheets(), fusor=dspy.Predict("worksheet, candidates -> answers"), **OWN), "its default fusor"),
        (
            lambda: BestOfN(sheets(), scorer=lambda args, pred: 1.0, **OWN),
            "a scorer of the kind 'RewardFunction' cannot be kept",
        ),
        (lambda: Vote(dspy.ReAct("a -> b", tools=[]), signature="a -> b", **OWN), "task program of the kind 'ReAct'"),
        (lambda: Vote(dspy.Predict(PLACES), **OWN), "the type Place has a configuration, which cannot be written down"),
    ],
)
def test_what_cannot_be_described_is_refused(make: Callable[[], dspy.Module], message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=message):
        save_program(make(), tmp_path / "p.json")
    assert not (tmp_path / "p.json").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("dspy_fusion"), "holds a program's state but not how to build it"),
        (lambda state: state["dspy_fusion"].update(version=9), "is of version 9, not 1"),
        (
            lambda state: state["dspy_fusion"].update(program="os.system"),
            "a program of the kind 'os.system' cannot be kept",
        ),
        (lambda state: state["dspy_fusion"].update(lms=["pluss"]), "no model is called 'pluss'; did you mean 'plus'"),
        (
            lambda state: state["dspy_fusion"].update(lms="plus"),
            "a list of model names, at most 256, but is 'plus'",
        ),
        (lambda state: state["dspy_fusion"].pop("task"), "does not describe a program: KeyError: 'task'"),
        (lambda state: state["dspy_fusion"]["task"].update(signature="a -> "), "the state of program has 2 fields"),
        (lambda state: state.pop("n"), "the state is not that of this Fusion: KeyError: 'n'"),
        (lambda state: state["n"].update(value=-1), "n must be at least 1, but got n=-1"),
    ],
)
def test_a_file_that_was_changed_is_refused(
    change: Callable[[dict[str, Any]], Any], message: str, tmp_path: Path
) -> None:
    path = tmp_path / "p.json"
    save_program(Fusion(sheets(), n=3, **FUSING), path)
    state = json.loads(path.read_text())
    change(state)
    path.write_text(json.dumps(state))
    with pytest.raises(ConfigurationError, match=message) as caught:
        load_program(path, ModelCatalogue.builtin())
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"), [("{", "is no JSON"), ("[]", "must be a JSON object"), (None, "cannot read the program")]
)
def test_what_is_no_program_is_refused(text: str | None, message: str, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "p.json").write_text(text)
    with pytest.raises(ConfigurationError, match=message):
        load_program(tmp_path / "p.json", ModelCatalogue.builtin())
