"""Where an answer ends: before its first stop text, or after as many tokens of its own as a request allows.

Both are found while the answer grows, without reading again what has been read, so that a long answer and a long stop
text cost a stream time in proportion.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol

_SEGMENT = re.compile(r" ?\S{1,64}|\s{1,64}")
_HALF = "\N{REPLACEMENT CHARACTER}"  # of a character whose other bytes are further tokens
_LONGEST_PHRASE = 12  # characters that an embedded model's tokenizer makes one token of


class Tokens(Protocol):
    """Counts the tokens of one growing text."""

    def cut(self, text: str, most: int, *, partly: bool) -> tuple[str, bool]:
        """The first ``most`` tokens of a text, and whether it has more.

        ``partly`` leaves out, of a text that goes on, what further text can still make other tokens of.
        """
        ...


class AnswerEnd:
    """Finds the end of one growing answer.

    Args:
        stops: texts before which it ends.
        most: how many tokens it may have, or None.
        tokens: makes what counts them.
    """

    def __init__(
        self, stops: Sequence[str], most: int | None = None, tokens: Callable[[], Tokens] | None = None
    ) -> None:
        self._stops, self._most, self._new_tokens = tuple(stops), most, tokens
        self._tokens = tokens() if tokens else None
        self._overlap = max(map(len, stops), default=1) - 1
        self._read = 0

    def beginning(self, text: str) -> str:
        """Of an answer that goes on: what no later text takes back."""
        safe = self._before_stop(text, partly=True)
        return self._capped(safe, partly=True)[0]

    def whole(self, text: str) -> tuple[str, Literal["stop", "length"]]:
        """A whole answer up to its end, and what ended it."""
        self._read, self._tokens = 0, self._new_tokens() if self._new_tokens else None
        kept, is_cut = self._capped(self._before_stop(text, partly=False), partly=False)
        return kept, "length" if is_cut else "stop"

    def _before_stop(self, text: str, *, partly: bool) -> str:
        start = max(0, self._read - self._overlap)
        end = min((place for stop in self._stops if (place := text.find(stop, start)) >= 0), default=None)
        if end is not None:
            return text[:end]
        self._read = len(text)
        return text[: len(text) - max((_begun(text, stop) for stop in self._stops), default=0)] if partly else text

    def _capped(self, text: str, *, partly: bool) -> tuple[str, bool]:
        if self._most is None or self._tokens is None or len(text.encode("utf-8", "replace")) <= self._most:
            return text, False  # a token has at least one byte
        return self._tokens.cut(text, self._most, partly=partly)


class WordTokens:
    """Tokens as a tokenizer makes them word by word, so that later words change nothing about earlier ones.

    Args:
        encode: from a text to tokens.
        decode: from tokens to a text.
    """

    def __init__(self, encode: Callable[[str], list[int]], decode: Callable[[list[int]], str]) -> None:
        self._encode, self._decode = encode, decode
        self._at = self._count = 0  # what of the text has been counted

    def cut(self, text: str, most: int, *, partly: bool) -> tuple[str, bool]:
        """See :class:`Tokens`."""
        for match in _SEGMENT.finditer(text, self._at):
            if partly and match.end() == len(text):
                return text[: self._at], False
            tokens = self._encode(match[0])
            if self._count + len(tokens) > most:
                return text[: self._at] + self._decode(tokens[: most - self._count]).rstrip(_HALF), True
            self._at, self._count = match.end(), self._count + len(tokens)
        return text, False


class OwnTokens:
    """Tokens of an embedded model."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer

    def cut(self, text: str, most: int, *, partly: bool) -> tuple[str, bool]:
        """See :class:`Tokens`."""
        tokens = self._tokenizer.encode(text)
        shown = self._tokenizer.decode(tokens[:most]).rstrip(_HALF)
        if partly:
            shown = shown[: len(text) - _LONGEST_PHRASE]
        return shown, len(tokens) > most


def _begun(text: str, stop: str) -> int:
    """How many characters at the end of a text are the beginning of a stop text."""
    start = max(0, len(text) - len(stop) + 1)
    while (place := text.find(stop[0], start)) >= 0:
        if stop.startswith(text[place:]):
            return len(text) - place
        start = place + 1
    return 0
