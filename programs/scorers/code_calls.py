"""Further calls of the functions that visible tests call, with other arguments of the same kinds.

The rule is type-preserving mutation, as EvalPlus makes its inputs (arXiv 2305.01210): each argument that is written as
a literal is changed in a way that keeps its kind, one call after another. What is made depends on the tests and the
seed alone.
"""

from __future__ import annotations

import ast
import random
from collections.abc import Iterator, Sequence
from typing import Any

from ..syntax import parsed

_TRIES = 20  # for each call that is wanted
_LONGEST = 400  # characters of a call


def calls_like(tests: Sequence[str], count: int, *, seed: int = 0) -> list[str]:
    """Calls as Python expressions: first those of the tests themselves, then changed ones.

    Args:
        tests: Python with assertions, such as ``assert add(1, 2) == 3``; what cannot be parsed is passed over.
        count: how many calls at most.
        seed: of the changes.
    """
    calls = [call for test in tests for call in _calls(test)]
    texts = dict.fromkeys(ast.unparse(call) for call in calls)
    rng = random.Random(seed)
    for _ in range(_TRIES * count if calls else 0):
        if len(texts) >= count:
            break
        changed = _changed(rng.choice(calls), rng)
        if changed is not None and len(changed) <= _LONGEST:
            texts.setdefault(changed)
    return list(texts)[:count]


def _calls(test: str) -> Iterator[ast.Call]:
    """The calls of a test's assertions whose arguments are all literals, outermost first."""
    try:
        tree = parsed(test)
    except (SyntaxError, ValueError):
        return
    for statement in ast.walk(tree):
        if isinstance(statement, ast.Assert):
            yield from (node for node in ast.walk(statement.test) if isinstance(node, ast.Call) and _is_plain(node))


def _is_plain(call: ast.Call) -> bool:
    arguments = [*call.args, *(keyword.value for keyword in call.keywords)]
    return bool(arguments) and not _is_wrapper(call) and all(_value(argument) is not None for argument in arguments)


def _is_wrapper(call: ast.Call) -> bool:
    """Whether it is a call that tests put around the one they are about, or around a literal."""
    return isinstance(call.func, ast.Name) and call.func.id in {
        "set", "list", "tuple", "sorted", "repr", "str", "len", "round", "abs", "isclose", "dict", "float", "int",
    }  # fmt: skip


def _value(node: ast.expr) -> tuple[Any] | None:
    try:
        return (ast.literal_eval(node),)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return None


def _changed(call: ast.Call, rng: random.Random) -> str | None:
    """The call with one or two of its arguments changed."""
    values = [_value(argument) for argument in call.args]
    if not values or None in values:
        return None
    arguments = [value[0] for value in values if value is not None]
    for place in rng.sample(range(len(arguments)), min(len(arguments), rng.choice((1, 2)))):
        arguments[place] = _like(arguments[place], rng)
    shown = ", ".join([*map(repr, arguments), *map(ast.unparse, call.keywords)])
    return f"{ast.unparse(call.func)}({shown})"


def _like(value: Any, rng: random.Random) -> Any:
    """Another value of the same kind."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return rng.choice((value + 1, value - 1, 2 * value, value // 2, 0, 1, -value, rng.randint(0, abs(value) + 10)))
    if isinstance(value, float):
        return rng.choice((value + 1.0, value - 1.0, 2 * value, value / 2, 0.0, -value))
    if isinstance(value, str):
        return _string_like(value, rng)
    if isinstance(value, list | tuple):
        return type(value)(_items_like(list(value), rng))
    if isinstance(value, set | frozenset):
        return type(value)(_items_like(sorted(value, key=repr), rng))
    if isinstance(value, dict):
        return {key: _like(item, rng) if rng.random() < 0.5 else item for key, item in value.items()}
    return value


def _string_like(text: str, rng: random.Random) -> str:
    place = rng.randrange(len(text)) if text else 0
    other = rng.choice(text) if text else "a"
    changes = (
        text[::-1], text + text, text.swapcase(), text[:place], text[place:], text[:place] + other + text[place:],
        text[:place] + text[place + 1 :], "".join(rng.sample(text, len(text))), "",
    )  # fmt: skip
    return rng.choice(changes)


def _items_like(items: list[Any], rng: random.Random) -> list[Any]:
    if not items:
        return items
    place = rng.randrange(len(items))
    changed = [*items[:place], _like(items[place], rng), *items[place + 1 :]]
    return rng.choice(
        (changed, changed, items[::-1], items[:place] + items[place + 1 :], [*items, items[place]], items)
    )
