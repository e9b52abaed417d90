"""Why recorded flags of M-IFEval differ from ours, from looking at every one.

A difference that is not here is a fault to be looked at.
"""

from __future__ import annotations

from dataclasses import dataclass

from .ifeval_flags import Difference


@dataclass(frozen=True)
class Kind:
    """One reason for differences."""

    name: str
    prompts: tuple[str, ...]
    """The ids of the prompts at which it was found."""
    instructions: tuple[str, ...]
    """The ids of the instructions at which it was found."""
    reason: str
    """What the two sides do differently."""
    nearer: str
    """Which side is nearer the definition: ``ours``, ``recorded`` or ``neither``."""

    def covers(self, difference: Difference) -> bool:
        """Whether the difference is one of those that it was found for."""
        return difference.prompt in self.prompts and difference.instruction in self.instructions


KINDS = (
    Kind(
        "language of a doubtful text",
        ("en-202", "en-1219", "en-1645", "en-2596", "en-3112", "fr-225"),
        (
            "en:change_case:english_capital",
            "en:change_case:english_lowercase",
            "en:language:response_language",
            "fr:change_case:french_lowercase",
        ),
        "langdetect draws at random; recorded without a seed, ours always with the same one. Each of these texts (a few"
        " words, one word over and over, two scripts, broken Bulgarian) gets either answer, depending on the seed",
        "neither",
    ),
    Kind(
        "Spanish sentences",
        ("es-82", "es-101"),
        ("es:length_constraints:number_sentences",),
        "recorded with spaCy's parser, which finds more than two sentences in two and fewer than 18 in 38 Italian ones;"
        " ours are Punkt's",
        "ours",
    ),
    Kind(
        "Spanish words",
        ("es-5",),
        ("es:length_constraints:number_words",),
        "recorded with spaCy, whose tokens include line breaks: 350 words of 348",
        "ours",
    ),
    Kind(
        "a Japanese keyword that the tokenizer cuts",
        ("ja-148",),
        ("ja:keywords:frequency",),
        "recorded by counting janome's tokens, of which 色落ち is two, so that no response can follow the instruction."
        " Ours seeks the text",
        "ours",
    ),
    Kind(
        "another keyword",
        ("ja-172",),
        ("ja:keywords:existence",),
        "recorded with タンパク質 in katakana, while prompt and arguments say たんぱく質",
        "ours",
    ),
    Kind(
        "spaces in P. P. S.",
        ("ja-38",),
        ("ja:detectable_content:postscript",),
        "the prompt says P. P. S. with spaces, and responses do; recorded for P.P.S. only, ours as English IFEval with"
        " either",
        "ours",
    ),
)
"""The kinds that are known, found in the recorded responses of M-IFEval at commit 06f08ff."""


def kind_of(difference: Difference) -> Kind | None:
    """The kind that explains a difference; None where none does."""
    return next((kind for kind in KINDS if kind.covers(difference)), None)
