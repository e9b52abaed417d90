"""Models and enumerations of the user's own come back from a file as data, or are refused by name."""

from __future__ import annotations

import enum
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Optional

import dspy
import pytest
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, field_validator

from dspy_fusion.programs import ConfigurationError, Fusion, Vote
from dspy_fusion.serving import ModelCatalogue, embedded_lm, load_program

OWN: dict[str, Any] = {"lms": [embedded_lm("plus")], "fusor_lm": embedded_lm("aft")}
BUILTIN = ModelCatalogue.builtin()


class Color(enum.Enum):
    """What it looks like."""

    RED = "red"
    BLUE = "blue"


class Grade(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Item(BaseModel):
    """One thing."""

    name: str = Field(description="What it is called.", max_length=40)
    price: float = Field(0.0, ge=0)
    color: Color | None = None
    tags: list[str] = Field(default_factory=list)


class Invoice(BaseModel):
    items: list[Item]
    total: Optional[float] = None  # noqa: UP045


class Bill(dspy.Signature):
    """Read the bill."""

    text: str = dspy.InputField()
    known: dict[str, Item] = dspy.InputField()
    invoice: Invoice = dspy.OutputField(desc="all of it")
    color: Color = dspy.OutputField()


def test_types_come_back_with_what_models_are_shown(tmp_path: Path) -> None:
    program = Fusion(dspy.ChainOfThought(Bill), n=2, **OWN)
    program.save(tmp_path / "p.json")
    loaded = load_program(tmp_path / "p.json", BUILTIN).program
    assert loaded.dump_state() == program.dump_state()
    for name, field in program.signature.fields.items():
        made = loaded.signature.fields[name]
        kinds: list[Any] = [made.annotation, field.annotation]
        assert TypeAdapter(kinds[0]).json_schema() == TypeAdapter(kinds[1]).json_schema()
    inputs = {"text": "t", "known": {}}
    assert dspy.ChatAdapter().format(loaded.signature, [], inputs) == dspy.ChatAdapter().format(
        program.signature, [], inputs
    )
    completion = '[[ ## invoice ## ]]\n{"items": [{"name": "a", "color": "red"}]}\n\n[[ ## color ## ]]\nblue\n'
    parsed = dspy.ChatAdapter().parse(loaded.signature, f"[[ ## reasoning ## ]]\nr\n\n{completion}")
    assert parsed["invoice"].items[0].model_dump(mode="json") == {
        "name": "a", "price": 0.0, "color": "red", "tags": []
    }  # fmt: skip
    assert parsed["color"].value == "blue"


class Checked(BaseModel):
    name: str

    @field_validator("name")
    @classmethod
    def short(cls, name: str) -> str:
        return name[:3]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str


class Node(BaseModel):
    children: list[Node] = []


class Coloured(BaseModel):
    color: Color = Color.RED


class Aliased(BaseModel):
    name: str = Field(alias="Name")


class Special(Item):
    more: int


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (Checked, "the type Checked has field_validators, which cannot be written down"),
        (Strict, "the type Strict has a configuration"),
        (Node, "the type Node of 'Node.children' holds itself"),
        (Coloured, "the default of Coloured.color is no plain value"),
        (Aliased, "the type Aliased of 'b' is more than fields"),
        (Special, "the type Special has another model as its base"),
        (Grade, "the type Grade of 'b' is more than fields or members|IntEnum"),
        (Callable, "cannot be written down"),
    ],
)
def test_what_is_more_than_data_is_refused_by_name(kind: Any, message: str, tmp_path: Path) -> None:
    made: Any = dspy.Signature
    signature = made({"a": (str, dspy.InputField()), "b": (kind, dspy.OutputField())})
    Vote(dspy.Predict(signature), n=1, lms=OWN["lms"]).save(tmp_path / "p.json")
    if kind is Grade:  # a whole number to models, and so it may come back as one
        try:
            load_program(tmp_path / "p.json", BUILTIN)
        except ConfigurationError as error:
            assert "Grade" in str(error)  # noqa: PT017
        return
    with pytest.raises(ConfigurationError, match=f"not how to build it: .*{message}"):
        load_program(tmp_path / "p.json", BUILTIN)


@pytest.mark.parametrize(
    ("types", "message"),
    [
        (5, "types must be a table"),
        ({f"T{i}": {"members": {"A": 1}} for i in range(200)}, "at most 100"),
        ({"Color": 5}, "must be a table"),
        ({"Color": {}}, "the type Color.* is not known|not known"),
        ({"Color": {"members": {"A": {"x": 1}}}}, "must be a text or a number"),
        ({"Color": {"members": {"__class__": "a"}}}, "cannot be the name of a member"),
        ({"Color": {"members": {}, "evil": 1}}, "has 'evil', which a file must not set"),
        ({"Color": {"fields": {"__base__": {"type": "str"}}}}, "'__base__' cannot be the name of a field"),
        ({"Color": {"fields": {"a": {"type": "evilmod.X"}}}}, "the type evilmod.X of a field is not known"),
        ({"Color": {"fields": {"a": {"type": "__import__('evilmod')"}}}}, "is not known"),
        ({"Color": {"fields": {"a": {"type": "str", "default_factory": "list"}}}}, "has 'default_factory'"),
        ({"Color": {"fields": {"a": {"type": "str", "empty": "evilmod.X"}}}}, "not as a list or a dict"),
        ({"Color": {"fields": {"a": {"type": "str", "constraints": {"pattern": "x"}}}}}, "known are gt"),
        ({"Color": {"fields": {"a": {"type": "Color"}}}}, "is not known|holds itself"),
        ({"Color": {"fields": {"a": {"type": "B"}}}, "B": {"fields": {"a": {"type": "Color"}}}}, "holds itself"),
        ({"Color": {"fields": {"a": {"type": "str)"}}}}, "cannot be made"),
        ({"Color": {"fields": 5}}, "cannot be made"),
        ({"Color": {"doc": 5, "members": {"A": "a"}}}, "must be a text"),
        ({"os.system": {"members": {"A": "a"}}}, "cannot be the name of a type"),
    ],
)
def test_a_type_that_a_stranger_wrote_is_data_or_refused(
    types: Any, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "evilmod.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    made: Any = dspy.Signature
    signature = made({"a": (str, dspy.InputField()), "b": (Color, dspy.OutputField())})
    Vote(dspy.Predict(signature), n=1, lms=OWN["lms"]).save(tmp_path / "p.json")
    state = json.loads((tmp_path / "p.json").read_text())
    assert state["dspy_fusion"]["task"]["types"] == {
        "Color": {"doc": "What it looks like.", "members": {"RED": "red", "BLUE": "blue"}}
    }
    state["dspy_fusion"]["task"]["types"] = types
    (tmp_path / "p.json").write_text(json.dumps(state))
    with pytest.raises(ConfigurationError, match=message) as caught:
        load_program(tmp_path / "p.json", BUILTIN)
    assert "\n" not in str(caught.value)
    assert "evilmod" not in sys.modules
