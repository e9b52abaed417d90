"""The fusor's tokens as they come: which part of what it has written so far is the beginning of the answer.

DSPy's own listener reads two of its adapters' protocols by the adapter's class name and passes JSON on in its escaped
form; here the text so far is read in the way in which the adapter will read the whole, and only what no later token can
take back is told.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import dspy
from pydantic_core import from_json

from dspy_fusion.programs.tasks.plain_adapter import PlainAdapter

from .answer_end import AnswerEnd
from .answers import Piece, Tell

_STEPS = 256  # an answer is shown in steps of a 256th of its length, which is a token up to some thousand characters
_HEADER = re.compile(r"\[\[ ## (\w+) ## \]\]")  # of dspy.ChatAdapter


class Shown:
    """What has been told of an answer: always a beginning of it, up to its end.

    Args:
        tell: takes the pieces.
        end: finds where the answer ends.
    """

    def __init__(self, tell: Tell, end: AnswerEnd) -> None:
        self._tell, self._end = tell, end
        self.text = ""

    def show(self, text: str) -> None:
        """Tells what is new in the answer's text so far; what does not go on from what was told is kept back."""
        safe = self._end.beginning(text)
        if len(safe) > len(self.text) and safe.startswith(self.text):
            self._tell(Piece(safe[len(self.text) :]))
            self.text = safe

    def finish(self, text: str) -> bool:
        """Tells the rest of the whole answer; False where the answer is not what was told of it."""
        if not text.startswith(self.text):
            return False
        if rest := text[len(self.text) :]:
            self._tell(Piece(rest))
        return True


class FusorStream:
    """What DSPy sends a streaming model's chunks to, by way of its setting ``send_stream``.

    Args:
        read: from the text so far to the answer so far, or None while there is none.
        shown: takes the answer.
        predictors: the ids of the predictors that write the answer; empty for any.
    """

    def __init__(
        self, read: Callable[[str], str | None], shown: Shown, predictors: frozenset[int] = frozenset()
    ) -> None:
        self._read, self._shown, self._predictors = read, shown, predictors
        self._text, self._ended = "", False
        self._next = 0  # the length from which the text is read again; reading all of it for every token is quadratic

    async def send(self, chunk: Any) -> None:
        """Takes one chunk of a model's answer."""
        choices = getattr(chunk, "choices", None)
        if not choices or (self._predictors and getattr(chunk, "predict_id", None) not in self._predictors):
            return
        if content := getattr(choices[0].delta, "content", None):
            if self._ended:
                self._text, self._ended, self._next = "", False, 0
            self._text += content
            if len(self._text) >= self._next:
                self._next = len(self._text) * (_STEPS + 1) // _STEPS
                if (answer := self._read(self._text)) is not None:
                    self._shown.show(answer)
        self._ended = self._ended or choices[0].finish_reason is not None  # what comes after is another call's


def reader_for(adapter: dspy.Adapter | None, field: str) -> Callable[[str], str | None] | None:
    """Reads a text field out of an unfinished completion of an adapter.

    None for an adapter whose protocol is not known here.
    """
    readers: list[tuple[type[dspy.Adapter], Callable[[str, str], str | None]]] = [
        (PlainAdapter, lambda text, _: text),
        (dspy.JSONAdapter, json_field),
        (dspy.XMLAdapter, xml_field),
        (dspy.ChatAdapter, chat_field),
    ]
    reader = next((read for kind, read in readers if isinstance(adapter or dspy.ChatAdapter(), kind)), None)
    return None if reader is None else lambda text: reader(text, field)


def chat_field(text: str, field: str) -> str | None:
    """The beginning of a field in an unfinished completion of ``dspy.ChatAdapter``; None before it begins."""
    value: list[str] | None = None
    lines = text.splitlines()
    for place, line in enumerate(lines):
        header = _HEADER.match(line.strip())
        if header is not None and value is not None:
            break
        if header is not None and header[1] == field:
            value = [line[header.end() :].strip()]
        elif value is not None and not (place == len(lines) - 1 and _may_be_header(line.strip())):
            value.append(line)
    return None if value is None else "\n".join(value).strip()


def _may_be_header(line: str) -> bool:
    return "[[ ## ".startswith(line) or line.startswith("[[ ## ")


def json_field(text: str, field: str) -> str | None:
    """The beginning of a field in an unfinished completion of ``dspy.JSONAdapter``; None before it begins."""
    begin = text.find("{")
    if begin < 0:
        return None
    try:
        value = from_json(text[begin:].encode("utf-8", "replace"), allow_partial="trailing-strings")
    except ValueError:
        return None  # in the middle of an escape, or followed by other text: the rest is told at the end
    part = value.get(field) if isinstance(value, dict) else None
    return part if isinstance(part, str) else None


def xml_field(text: str, field: str) -> str | None:
    """The beginning of a field in an unfinished completion of ``dspy.XMLAdapter``; None before it begins."""
    _, begun, rest = text.partition(f"<{field}>")
    return (
        re.split("[<&]", rest, maxsplit=1)[0].strip() if begun else None
    )  # past a tag or an entity the rest is told at the end
