"""Fusion by field: leaves are settled by vote, and only texts that are open reach the fusor."""

from __future__ import annotations

import json
from datetime import date
from typing import Any, Literal

import dspy
import pytest
from conftest import ScriptedLM, is_fusor, prompt_of
from pydantic import BaseModel

from dspy_fusion.programs import ConfigurationError, Fusion, FusorFailed


class Item(BaseModel):
    sku: str | None = None
    name: str
    price: float
    amount: int = 1


class Order(BaseModel):
    customer: str
    status: Literal["open", "paid"]
    day: date
    items: list[Item] = []
    tags: set[str] = set()
    note: str | None = None


class Read(dspy.Signature):
    """Read the order."""

    text: str = dspy.InputField()
    order: Order = dspy.OutputField()
    urgent: bool = dspy.OutputField()


def order(*items: tuple[str, float], **changes: Any) -> dict[str, Any]:
    listed = [{"name": name, "price": price} for name, price in items or (("apple", 1.0), ("pear", 2.0))]
    return {"customer": "Ada", "status": "paid", "day": "2026-03-01", "items": listed, **changes}


def reading(*orders: dict[str, Any], fused: Any = None, urgent: str = "TTF") -> ScriptedLM:
    def answer(request: Any) -> dict[str, str]:
        seed = request.config.seed or 0
        if is_fusor(request):
            if isinstance(fused, Exception):
                raise fused
            return {"order": json.dumps(fused), "urgent": "False"}
        return {"order": json.dumps(orders[seed]), "urgent": str(urgent[seed % len(urgent)] == "T")}

    return ScriptedLM(answer)


def read(lm: ScriptedLM, n: int, **options: Any) -> dspy.Prediction:
    with dspy.context(lm=lm):
        return Fusion(dspy.Predict(Read), n=n, by_field=True, **options)(text="t")


def test_what_can_be_voted_on_needs_no_fusor() -> None:
    lm = reading(order(), order(status="open"), order(day="2026-03-02"))
    prediction = read(lm, 3)
    assert prediction.order == Order.model_validate(order())
    assert prediction.urgent is True
    assert len(lm.requests) == 3
    assert (prediction.pool.saved, prediction.pool.chosen) == (1, None)
    assert prediction.pool.leaves["order.status"] == pytest.approx(2 / 3)
    assert prediction.pool.leaves["order.items[1].price"] == 1.0


def test_close_numbers_are_one_and_far_ones_lose() -> None:
    pools = [order(("apple", price)) for price in (10.0, 10.02, 9.98, 25.0)]
    prediction = read(reading(*pools, urgent="T"), 4)
    assert prediction.order.items[0].price in (10.0, 9.98, 10.02)
    assert prediction.pool.leaves["order.items[0].price"] == 0.75


def test_lists_are_aligned_and_keep_their_order() -> None:
    prediction = read(
        reading(
            order(("apple", 1.0), ("pear", 2.0), ("plum", 3.0)),
            order(("pear", 2.0), ("plum", 3.0)),
            order(("apple", 1.0), ("pear", 2.0), ("ghost", 9.0), ("plum", 3.0)),
        ),
        3,
    )
    assert [item.name for item in prediction.order.items] == ["apple", "pear", "plum"]


def test_a_key_says_which_items_are_the_same() -> None:
    def keyed(*items: tuple[str | None, str, float]) -> dict[str, Any]:
        return order() | {"items": [{"sku": s, "name": n, "price": p} for s, n, p in items]}

    pools = [
        keyed(("a1", "bolt", 1.0), ("a2", "bolt", 5.0)),
        keyed(("a2", "bolt", 5.0), ("a1", "bolt", 1.0)),
        keyed((None, "bolt", 1.0), ("a2", "bolt", 5.0)),
    ]
    prediction = read(reading(*pools), 3, keys={"order.items": "sku"})
    assert [(item.sku, item.price) for item in prediction.order.items] == [("a1", 1.0), ("a2", 5.0)]
    assert prediction.pool.notes == ("order.items: 1 items without their key 'sku' were aligned by resemblance",)


def test_sets_and_missing_values_are_voted_on() -> None:
    prediction = read(
        reading(order(tags=["a", "b"], note="n"), order(tags=["b", "c"]), order(tags=["a", "b"])),
        3,
    )
    assert prediction.order.tags == {"a", "b"}
    assert prediction.order.note is None
    assert prediction.pool.leaves["order.note"] == pytest.approx(2 / 3)


def test_only_open_texts_are_taken_from_the_fusor_which_sees_the_rest_as_settled() -> None:
    lm = reading(
        order(note="leave it at the door"),
        order(note="ring twice", status="open"),
        order(note="door please"),
        fused=order(note="ring twice and leave it at the door", status="open", customer="Eve"),
    )
    prediction = read(lm, 3)
    assert prediction.order.note == "ring twice and leave it at the door"
    assert (prediction.order.status, prediction.order.customer, prediction.urgent) == ("paid", "Ada", True)
    asked = [request for request in lm.requests if is_fusor(request)]
    assert len(asked) == 1
    shown = prompt_of(asked[0])
    assert '"note": "?"' in shown
    assert all(note in shown for note in ("leave it at the door", "ring twice", "door please"))
    assert '"status": "open"' not in shown.replace('\\"', '"')
    assert (prediction.pool.usage["fusor"].calls, prediction.pool.saved) == (1, 0)


def test_a_gate_settles_texts_by_majority() -> None:
    lm = reading(order(customer="Ada"), order(customer="Ada"), order(customer="Bob"))
    prediction = read(lm, 3, gate=None)
    assert prediction.order.customer == "Ada"  # the fusor wrote nothing that fits, the majority stays
    assert any(map(is_fusor, lm.requests))
    lm = reading(order(customer="Ada"), order(customer="Ada"), order(customer="Bob"))
    assert read(lm, 3, gate=0.6).order.customer == "Ada"
    assert not any(map(is_fusor, lm.requests))


def test_where_the_fusor_fails_the_middle_texts_stay() -> None:
    notes = ("leave it at the door", "leave it at the front door", "ring twice")
    pools = [order(note=note) for note in notes]
    prediction = read(reading(*pools, fused=ValueError("boom")), 3)
    assert prediction.order.note in notes[:2]
    assert prediction.pool.fallback.startswith("the fusor failed: LMUnexpectedError: [scripted/model] boom")
    with pytest.raises(FusorFailed, match="boom"):
        read(reading(*pools, fused=ValueError("boom")), 3, on_fusor_failure="raise")


def test_a_chain_of_thought_is_taken_over_and_not_fused() -> None:
    def answer(request: Any) -> dict[str, str]:
        return {"reasoning": f"thought {request.config.seed}", "answer": "521"[request.config.seed % 2]}

    lm = ScriptedLM(answer)
    with dspy.context(lm=lm):
        prediction = Fusion(dspy.ChainOfThought("question -> answer: int"), n=3, by_field=True)(question="q")
    assert (prediction.answer, prediction.reasoning) == (5, "thought 0")
    assert len(lm.requests) == 3


def test_the_options_are_checked() -> None:
    with pytest.raises(ConfigurationError, match=r"keys names 'basket.items', which is no output of the task"):
        Fusion(dspy.Predict(Read), by_field=True, keys={"basket.items": "sku"})
    with pytest.raises(ConfigurationError, match="keys needs by_field=True"):
        Fusion(dspy.Predict(Read), keys={"order.items": "sku"})
