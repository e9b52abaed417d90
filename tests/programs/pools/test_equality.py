from __future__ import annotations

import json
from collections import namedtuple
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, Optional
from uuid import UUID

import dspy
import numpy as np
import pytest
from dspy.adapters.types.decision import Choice, Noul, Score
from pydantic import BaseModel, Field

from dspy_fusion.programs.pools.equality import normalized
from dspy_fusion.programs.pools.selection import votable_fields


class City(BaseModel):
    name: str
    tags: set[str] = set()


class Town(BaseModel):
    name: str
    tags: set[str] = set()


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Grade(BaseModel):
    value: Literal["low", "high"]
    count: int


@dataclass
class Point:
    x: float
    label: str


Pair = namedtuple("Pair", "left right")
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def calls(*named: tuple[str, dict[str, Any]], ids: str = "") -> dspy.ToolCalls:
    made = [dspy.ToolCalls.ToolCall(name=name, args=args, id=f"{ids}{i}") for i, (name, args) in enumerate(named)]
    return dspy.ToolCalls(tool_calls=made)


def raw_call(name: str, arguments: object, id: str) -> dict[str, object]:
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


EQUAL = [
    ({1, 2, 3}, {3, 1, 2}),
    ({"a", "b"}, frozenset({"b", "a"})),
    ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
    ([{"a": {"x", "y"}, "b": 2}], [{"b": 2, "a": {"y", "x"}}]),
    ((1, 2), [1, 2]),
    (Pair(1, {"b", "a"}), Pair(1, {"a", "b"})),
    (City(name="Paris", tags={"x", "y"}), City(name="paris.", tags={"y", "x"})),
    (Point(1, "A"), Point(1.0, "a")),
    (Decimal("1.0"), Decimal("1.00")),
    (Decimal("1.50"), Fraction(3, 2)),
    (1, 1.0),
    (-0.0, 0),
    (float("nan"), float("nan")),
    (Decimal("NaN"), float("nan")),
    ([float("nan")], [float("nan")]),
    (NOON, NOON.astimezone(timezone(timedelta(hours=5, minutes=30)))),
    ({"at": NOON}, {"at": NOON.astimezone(timezone(timedelta(hours=-7)))}),
    (b"ab", bytearray(b"ab")),
    (UUID(int=7), UUID(str(UUID(int=7)))),
    (PurePosixPath("a/./b"), PurePosixPath("a/b")),
    (np.array([1, 2]), [1, 2]),
    (np.float64(1.5), 1.5),
    (calls(("find", {"q": "x", "n": 1}), ids="a"), calls(("find", {"n": 1, "q": "x"}), ids="b")),
    (calls(("find", {"q": "The Nile"})), calls(("find", {"q": "the  nile."}))),
    (calls(("f", {"data": '{"a": 1, "b": [2]}'})), calls(("f", {"data": {"b": [2], "a": 1}}))),
    (raw_call("f", '{"a": 1, "b": 2}', "call_1"), raw_call("f", {"b": 2, "a": 1.0}, "call_2")),
    ({"id": "1", "name": "f", "args": {"a": 1}}, {"id": "2", "name": "f", "args": {"a": 1}}),
    (Noul(value=False, confidence=0.9), Noul(value=False, confidence=0.2)),
    (Score["bad", "good"](value=0.5, confidence=0.9), Score["bad", "good"](value=0.5, confidence=0.1, level=1)),
    (
        Choice[("no", ""), ("yes", "")](value="yes", confidence=0.5),
        Choice[("no", ""), ("yes", "")](value="yes", confidence=0.9, probabilities={"yes": 0.9, "no": 0.1}),
    ),
    (dspy.Code(code="x = 1\n"), dspy.Code(code="x = 1  ")),
]

DIFFERENT = [
    ([1, 2], [2, 1]),
    (1, True),
    (0, False),
    (1, "1"),
    (None, ""),
    ([], None),
    (City(name="Paris"), Town(name="Paris")),
    (Decimal("1.0"), Decimal("1.01")),
    (10**20, 10**20 + 1),
    (NOON, NOON.replace(tzinfo=None)),
    (Colour.RED, Colour.BLUE),
    (b"ab", b"AB"),
    (PurePosixPath("a/B"), PurePosixPath("a/b")),
    ({"a": 1}, {"a": 2}),
    ([1, [2]], [1, 2]),
    (calls(("find", {"q": "x"})), calls(("seek", {"q": "x"}))),
    (calls(("find", {"q": "x"})), calls(("find", {"q": "y"}))),
    (Noul(value=False, confidence=0.9), Noul(value=True, confidence=0.9)),
    (dspy.Image(url="https://a.org/X.png"), dspy.Image(url="https://a.org/x.png")),
    ("Paris", ["Paris"]),
]


@pytest.mark.parametrize(("left", "right"), EQUAL)
def test_what_is_equal_has_one_key(left: object, right: object) -> None:
    assert normalized(left) == normalized(right)
    assert len({normalized(left), normalized(right)}) == 1
    assert normalized([left]) == normalized([right])


@pytest.mark.parametrize(("left", "right"), DIFFERENT)
def test_what_differs_has_two_keys(left: object, right: object) -> None:
    assert normalized(left) != normalized(right)
    assert normalized({"k": left}) != normalized({"k": right})


@pytest.mark.parametrize(
    ("left", "right", "annotation", "equal"),
    [
        (1, True, bool, True),
        (1, True, int, True),
        ("a", "A", Literal["a", "A"], False),
        ("a", "A", Literal["a", "A"] | None, False),
        ("a", "A", str, True),
        ("1.0", Decimal("1.00"), Decimal, True),
        ("red", Colour.RED, Colour, True),
        ({"name": "Paris"}, City(name="paris"), City, True),
        ("2026-01-01", date(2026, 1, 1), date, True),
        ("not a date", date(2026, 1, 1), date, False),
        (10**30, 10**30, int, True),
    ],
)
def test_the_fields_type_settles_what_a_value_alone_does_not(
    left: object, right: object, annotation: Any, equal: bool
) -> None:
    assert (normalized(left, annotation) == normalized(right, annotation)) is equal


@pytest.mark.parametrize(
    ("annotation", "votable"),
    [
        *((kind, True) for kind in (int, bool, float, Decimal, Fraction, date, datetime, timedelta, UUID, Colour)),
        *((kind, True) for kind in (Optional[Annotated[int, Field(ge=0)]],)),  # noqa: UP045
        *((kind, True) for kind in (Literal["a", "b"], list[int], list[Literal["a", "b"]], dict[str, int])),
        *((kind, True) for kind in (tuple[int, ...], set[Colour], Noul, Score["a", "b"], Choice[("a", "x")])),
        *((kind, True) for kind in (Grade, list[Grade], dspy.ToolCalls, int | Literal["none"])),
        *((kind, False) for kind in (str, list[str], list, dict[str, str], int | str, City, Any, dspy.Image, Mapping)),
    ],
)  # fmt: skip
def test_types_whose_answers_are_equal_or_not_are_votable(annotation: Any, votable: bool) -> None:
    outputs = {"answer": (annotation, dspy.OutputField()), "note": (str, dspy.OutputField())}
    task = dspy.Signature({"question": (str, dspy.InputField()), **outputs})
    assert votable_fields(task) == (["answer"] if votable else ["note"])


def test_a_key_survives_damage_and_depth() -> None:
    deep: Any = "end"
    for _ in range(150):
        deep = [deep]
    assert normalized(deep) == normalized(json.loads(json.dumps(deep)))
    assert normalized(Decimal("1e999999999")) == normalized(Decimal("10e999999998"))
    assert normalized(object) == normalized(object)
