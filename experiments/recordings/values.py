"""Values out of rows that anyone may have written: each is what it should be, or a ``ValueError`` says what it is."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

T = TypeVar("T")
M = TypeVar("M")


def text_of(values: Mapping[str, Any], name: str) -> str:
    """A text or a number as text; raises where it is absent, empty or something else."""
    text = optional_text(values, name)
    if text is None or not text.strip():
        raise ValueError(f"{name!r} is {values[name]!r}, which is no text" if name in values else f"it lacks {name!r}")
    return text


def optional_text(values: Mapping[str, Any], name: str) -> str | None:
    """A text, a number or a truth value as text; None where it is absent, null or empty."""
    value = values.get(name)
    if value is None or value == "":
        return None
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str | int | float):
        raise ValueError(f"{name!r} is a {type(value).__name__}, which is no text")
    return str(value)


def flag(values: Mapping[str, Any], name: str) -> float:
    """True or false as 1 or 0, or a number in [0, 1]."""
    value = values.get(name)
    if isinstance(value, bool):
        return float(value)
    if isinstance(value, int | float) and 0 <= value <= 1:
        return float(value)
    raise ValueError(f"{name!r} is {value!r}, which is neither true nor false nor a number in [0, 1]")


def number(values: Mapping[str, Any], name: str) -> float:
    """A finite number."""
    value = values.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{name!r} is {value!r}, which is no finite number")
    return float(value)


def item_of(values: Mapping[str, Any], name: str, kind: type[T]) -> T:
    """A value of a kind."""
    item = values.get(name)
    if not isinstance(item, kind):
        raise ValueError(
            f"{name!r} is {str(item)[:60]!r}, which is no {kind.__name__}" if name in values else f"it lacks {name!r}"
        )
    return item


def items_of(values: Mapping[str, Any], name: str) -> list[Any]:
    """A list of at least one item."""
    items = item_of(values, name, list)
    if not items:
        raise ValueError(f"{name!r} is empty, so it has no candidates")
    return items


def an_object(item: Any) -> Mapping[str, Any]:
    """An item of a list that must be an object."""
    if not isinstance(item, Mapping):
        raise ValueError("it is null" if item is None else f"it is a {type(item).__name__}, and no object")
    return item


def usable(items: Iterable[T], make: Callable[[T], M]) -> tuple[tuple[M, ...], tuple[str, ...]]:
    """What can be made of items, and why nothing can be made of the others.

    Raises:
        ValueError: nothing can be made of any of them, or there are none.
    """
    made, lost = [], []
    for place, item in enumerate(items, 1):
        try:
            made.append(make(item))
        except ValueError as error:
            lost.append(f"candidate {place}: {error}")
    if not made:
        raise ValueError(lost[0] if lost else "it has no candidates")
    return tuple(made), tuple(lost)


def digest_of(text: str) -> str:
    """A name for a question that has none: the first 16 hexadecimal digits of its hash."""
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:16]
