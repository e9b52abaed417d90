"""Models without a system role: what would be system text goes before the first user turn.

A server refuses such a request by naming the role (Gemma's and Mistral's chat templates, OpenAI's first o-models); what
was refused once is remembered for the process.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

import dspy
from dspy.utils.exceptions import LMError

T = TypeVar("T")

_without: ContextVar[bool] = ContextVar("dspy_fusion_without_system_role", default=False)
_refusing: set[tuple[str, str]] = set()
_REFUSAL = re.compile(
    r"system\W+(?:\w+\W+){0,3}?(?:is |are )?(?:not |un)(?:supported|allowed|permitted)"
    r"|(?:not|n't) (?:support|allow|accept|have)\w*\W+(?:\w+\W+){0,5}?system"
    r"|un(?:supported|known|expected) (?:\w+\W+){0,3}?system|invalid (?:\w+\W+){0,2}?role\W+system"
    r"|only user and (?:assistant|model) roles|roles must alternate",
    re.IGNORECASE,
)


def ask(lm: dspy.BaseLM, has_role: bool | None, call: Callable[[], T]) -> T:
    """Makes a call of a model, with a system role unless it is known to have none, and once more without where it
    refuses the role.
    """
    if _known_without(lm, has_role):
        with _joining():
            return call()
    try:
        return call()
    except LMError as error:
        if not _is_refused(lm, has_role, error):
            raise
    with _joining():
        return call()


async def aask(lm: dspy.BaseLM, has_role: bool | None, call: Callable[[], Awaitable[T]]) -> T:
    """As :func:`ask`."""
    if _known_without(lm, has_role):
        with _joining():
            return await call()
    try:
        return await call()
    except LMError as error:
        if not _is_refused(lm, has_role, error):
            raise
    with _joining():
        return await call()


def fitted(messages: list[dict[str, Any]], has_role: bool | None) -> list[dict[str, Any]]:
    """The messages, within a call without a system role with the system text before the first user turn's."""
    if has_role is not False and not _without.get():
        return messages
    system, (first, *others) = messages[0]["content"], messages[1:]
    if not system:
        return [first, *others]
    if first["role"] != "user":
        return [{"role": "user", "content": system}, first, *others]
    content = first["content"]
    joined = (
        "\n\n".join(text for text in (system, content) if text)
        if isinstance(content, str)
        else [{"type": "text", "text": f"{system}\n\n"}, *content]
    )
    return [{**first, "content": joined}, *others]


@contextmanager
def _joining() -> Iterator[None]:
    token = _without.set(True)
    try:
        yield
    finally:
        _without.reset(token)


def _known_without(lm: dspy.BaseLM, has_role: bool | None) -> bool:
    return has_role is False or (has_role is None and _name(lm) in _refusing)


def _is_refused(lm: dspy.BaseLM, has_role: bool | None, error: LMError) -> bool:
    if has_role is not None or not _REFUSAL.search(str(error)):
        return False
    _refusing.add(_name(lm))
    return True


def _name(lm: dspy.BaseLM) -> tuple[str, str]:
    return lm.model, str(lm.kwargs.get("api_base") or lm.kwargs.get("base_url") or "")
