"""What a server says of tokens, made such that every client reads it: an answer that was paid for is not lost.

DSPy's native client and litellm take an answer whose ``usage`` has a text, a fraction or a list where they want a
number for no answer at all. Here the body is mended before they read it: a number of tokens is a whole number of at
least 0, what cannot be one is left out, and what is not about tokens stays as it is.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from typing import Any

from ..json_text import read_json

_USAGE = ("usage", "usageMetadata")
_WITHIN = ("message", "response")  # where events of streams have it
_SUM = (("prompt_tokens", "completion_tokens"), ("input_tokens", "output_tokens"))
_MOST = 2**53  # more are no tokens
_DEEPEST = 6
_OF_TOKENS = ("tokens", "token_count", "tokencount")
_LINE = 1 << 22  # bytes of a line of a stream that are looked at


def with_plain_usage(body: bytes) -> bytes:
    """A JSON body with a usage that is one; what is no JSON, or needs no mending, comes back as it is."""
    if b'"usage' not in body:
        return body
    try:
        data = read_json(body)
    except (ValueError, RecursionError):
        return body
    return json.dumps(data).encode() if isinstance(data, dict) and _mend(data) else body


def with_plain_usages(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The same for the ``data:`` lines of a stream of events, each handed on as soon as it is whole."""
    lines = EventLines()
    for chunk in chunks:
        yield from lines.fed(chunk)
    yield from lines.rest()


class EventLines:
    """Cuts a stream into lines and mends those that hold a usage."""

    def __init__(self) -> None:
        self._begun = bytearray()

    def fed(self, chunk: bytes) -> Iterator[bytes]:
        """The lines that end in this chunk, or what there is of one that is too long to be looked at."""
        self._begun += chunk
        if (end := self._begun.rfind(b"\n", -len(chunk)) + 1 if chunk else 0) or len(self._begun) > _LINE:
            whole = bytes(self._begun[:end] if end else self._begun)
            del self._begun[: len(whole)]
            yield b"".join(map(_mended_line, whole.splitlines(keepends=True))) if b'"usage' in whole else whole

    def rest(self) -> Iterator[bytes]:
        """What is left at the end."""
        if self._begun:
            yield _mended_line(bytes(self._begun))


def _mended_line(line: bytes) -> bytes:
    head, colon, data = line.partition(b":")
    if head != b"data" or not colon or b'"usage' not in data:
        return line
    text = data.strip()
    mended = with_plain_usage(text)
    return line if mended is text else b"data: " + mended + line[len(line.rstrip(b"\r\n")) :]


def _mend(data: dict[str, Any]) -> bool:
    """Mends what an object says of tokens, in place; says whether there was anything to mend."""
    changed = False
    for name in _USAGE:
        if name not in data:
            continue
        if not isinstance(usage := data[name], dict):
            del data[name]
            changed |= usage is not None
            continue
        mended = _plain(usage, 0)
        for first, second in _SUM:
            if isinstance(mended.get(first), int) and isinstance(mended.get(second), int):
                mended.setdefault("total_tokens", mended[first] + mended[second])
        changed |= mended != usage or any(type(mended[key]) is not type(usage.get(key)) for key in mended)
        data[name] = mended
    for name in _WITHIN:
        if isinstance(data.get(name), dict):
            changed |= _mend(data[name])
    return changed


def _plain(usage: dict[str, Any], depth: int) -> dict[str, Any]:
    kept = {}
    for name, value in usage.items():
        word = name.lower()
        if isinstance(value, dict):
            if depth < _DEEPEST and not word.endswith(_OF_TOKENS):
                kept[name] = _plain(value, depth + 1)
        elif word.endswith(_OF_TOKENS):
            if (count := _count(value)) is not None:
                kept[name] = count
        elif word.endswith("details"):
            if isinstance(value, list) and not word.endswith("_details") and all(isinstance(x, dict) for x in value):
                kept[name] = [_plain(item, depth + 1) for item in value]
        elif word == "cost":
            if not isinstance(value, bool) and isinstance(value, int | float) and math.isfinite(value):
                kept[name] = value
        elif word != "server_tool_use":
            kept[name] = value
    return kept


def _count(value: Any) -> int | None:
    """A number of tokens, or None where it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = int(value) if isinstance(value, int) else int(float(value))
    except (ValueError, OverflowError):
        return None
    return max(0, number) if number < _MOST else None
