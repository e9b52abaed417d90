"""Where the words of a text come from: which of several other texts has them in the same order.

Pure, and linear in the texts' lengths.

A word counts as taken from a text if it stands in a run of at least three words that the text has too; a word that
stands in no such run is new. What all texts share says nothing about any of them and is kept apart.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

_RUN = 3
# Scripts that put no space between words are cut into characters.
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_TOKEN = re.compile(rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+|[^\w\s]")


@dataclass(frozen=True)
class Span:
    """A stretch of the text, with the space behind it, and the texts that have it."""

    text: str
    words: int
    sources: tuple[int, ...]
    """Indexes of the other texts; none of them where the words are new."""


@lru_cache(maxsize=512)  # the same few texts are asked for again and again
def words_of(text: str) -> tuple[str, ...]:
    """The words and marks of a text in lower case; single characters in scripts without spaces."""
    return tuple(map(str.casefold, _TOKEN.findall(text)))


@lru_cache(maxsize=1 << 15)
def word_count(text: str) -> int:
    """How many words and marks a text has."""
    return len(_TOKEN.findall(text))


def spans_of(text: str, others: Sequence[str]) -> tuple[Span, ...]:
    """The text cut where its sources change; the pieces put together are the text.

    A word that some but not all of ``others`` have belongs to those in which it stands in the longest run.
    """
    matches = list(_TOKEN.finditer(text))
    if not matches:
        return (Span(text, 0, ()),) if text else ()
    owners = _owners(words_of(text), [words_of(other) for other in others])
    starts = [i for i in range(len(matches)) if i == 0 or owners[i] != owners[i - 1]]
    spans = []
    for start, end in zip(starts, [*starts[1:], len(matches)], strict=True):
        first = matches[start].start() if start else 0
        last = matches[end].start() if end < len(matches) else len(text)
        spans.append(Span(text[first:last], end - start, owners[start]))
    return tuple(spans)


def shared_in_order(text: str, other: str) -> float:
    """The longest common subsequence of the two, as a share of the words of ``text``.

    1 for a copy, 0 for an empty text.

    Bit-parallel, after Crochemore et al. (2001): one big-integer addition a word.
    """
    ours, theirs = words_of(text), words_of(other)
    places: dict[str, int] = {}
    for i, word in enumerate(ours):
        places[word] = places.get(word, 0) | 1 << i
    every = (1 << len(ours)) - 1
    unmatched = every
    for word in theirs:
        met = unmatched & places.get(word, 0)
        unmatched = ((unmatched + met) | (unmatched - met)) & every
    return (len(ours) - unmatched.bit_count()) / len(ours) if ours else 0.0


def _owners(words: tuple[str, ...], others: Sequence[tuple[str, ...]]) -> list[tuple[int, ...]]:
    runs = [_run_lengths(words, other) for other in others]
    owners = []
    for lengths in zip(*runs, strict=True) if runs else [()] * len(words):
        longest = 0 if all(lengths) else max(lengths)
        owners.append(tuple(i for i, length in enumerate(lengths) if length and length >= longest))
    return owners


def _run_lengths(words: tuple[str, ...], other: tuple[str, ...]) -> list[int]:
    """For each word the length of the longest run it stands in that ``other`` has too; 0 where there is none."""
    size = min(_RUN, len(words))
    grams = _grams(other, size)
    lengths, start = [0] * len(words), 0
    hits = [gram in grams for gram in zip(*(words[i:] for i in range(size)), strict=False)]
    for i, hit in enumerate([*hits, False]):
        if not hit:
            for place in range(start, i + size - 1 if i > start else start):
                lengths[place] = max(lengths[place], i - start + size - 1)
            start = i + 1
    return lengths


@lru_cache(maxsize=256)
def _grams(words: tuple[str, ...], size: int) -> frozenset[tuple[str, ...]]:
    return frozenset(zip(*(words[i:] for i in range(size)), strict=False))
