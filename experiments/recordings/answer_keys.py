"""When two recorded answers are the same.

Equal numbers however they are written, or equal texts as votes compare them.
"""

from __future__ import annotations

import re
from decimal import Decimal

from dspy_fusion.programs.pools.equality import normalized
from dspy_fusion.programs.pools.folding import folded_text

_NUMBER = re.compile(r"[-+]?(?:\d{1,3}(?:,\d{3})+|\d+)?(?:\.\d+)?")
_LONGEST = 40  # digits; more is no number that anyone compares


def answer_key(answer: str) -> str:
    """What equal answers have in common: ``$1,200.00`` and ``1200`` give one key, ``Paris.`` and ``paris`` another.

    Recorded answers are text, so a text that is nothing but a number counts as that number; a vote compares the two as
    :func:`~dspy_fusion.programs.pools.equality.normalized` does in fields of these types.
    """
    text = folded_text(answer)
    bare = text.strip("$€£% ")
    if len(bare) <= _LONGEST and any(sign.isdigit() for sign in bare) and _NUMBER.fullmatch(bare):
        return str(normalized(Decimal(bare.replace(",", ""))))
    return text


def is_same(answer: str, gold: str) -> bool:
    """Whether two answers are the same."""
    return answer_key(answer) == answer_key(gold)
