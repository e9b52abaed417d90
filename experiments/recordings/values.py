"""Values out of rows that anyone may have written: each is what it should be, or a ``ValueError`` says what it is."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from typing import Any, TypeVar

T = TypeVar("T")


def text_of(values: Mapping[str, Any], name: str) -> str:
    """A text or a number as text; raises where it is absent, empty or something else."""
    found = optional_text(values, name)
    if found is None or not found.strip():
        raise ValueError(f"{name!r} is {values[name]!r}, which is no text" if name in values else f"it lacks {name!r}")
    return found


def optional_text(values: Mapping[str, Any], name: str) -> str | None:
    """A text or a number as text; None where it is absent, null or empty."""
    found = values.get(name)
    if found is None or found == "":
        return None
    if isinstance(found, bool) or not isinstance(found, str | int | float):
        raise ValueError(f"{name!r} is a {type(found).__name__}, which is no text")
    return str(found)


def flag(values: Mapping[str, Any], name: str) -> float:
    """True or false as 1 or 0, or a number in [0, 1]."""
    found = values.get(name)
    if isinstance(found, bool):
        return float(found)
    if isinstance(found, int | float) and 0 <= found <= 1:
        return float(found)
    raise ValueError(f"{name!r} is {found!r}, which is neither true nor false nor a number in [0, 1]")


def number(values: Mapping[str, Any], name: str) -> float:
    """A finite number."""
    found = values.get(name)
    if isinstance(found, bool) or not isinstance(found, int | float) or not math.isfinite(found):
        raise ValueError(f"{name!r} is {found!r}, which is no finite number")
    return float(found)


def item_of(values: Mapping[str, Any], name: str, kind: type[T]) -> T:
    """A value of a kind."""
    found = values.get(name)
    if not isinstance(found, kind):
        raise ValueError(
            f"{name!r} is {str(found)[:60]!r}, which is no {kind.__name__}" if name in values else f"it lacks {name!r}"
        )
    return found


def items_of(values: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    """A list of at least one object."""
    found = item_of(values, name, list)
    if not found:
        raise ValueError(f"{name!r} is empty, so it has no candidates")
    if not all(isinstance(item, Mapping) for item in found):
        raise ValueError(f"{name!r} is no list of objects")
    return found


def digest_of(text: str) -> str:
    """A name for a question that has none: the first 16 hexadecimal digits of its hash."""
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:16]
