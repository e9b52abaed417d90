"""When two recorded answers are the same: equal numbers however they are written,
or equal texts as votes compare them.
"""

from __future__ import annotations

import re
from decimal import Decimal

from dspy_fusion.programs.pools.selection import normalized

_NUMBER = re.compile(r"[-+]?(?:\d{1,3}(?:,\d{3})+|\d+)?(?:\.\d+)?")
_LONGEST = 40  # digits; more is no number that anyone compares


def answer_key(answer: str) -> str:
    """What equal answers have in common: ``$1,200.00`` and ``1200`` give one key, ``Paris.`` and ``paris`` another."""
    bare = answer.strip().strip("$€£%").rstrip(".").strip()
    if len(bare) <= _LONGEST and any(sign.isdigit() for sign in bare) and _NUMBER.fullmatch(bare) and bare.isascii():
        value = Decimal(bare.replace(",", ""))
        return f"{value.normalize():f}" if value else "0"
    return str(normalized(answer))


def is_same(answer: str, gold: str) -> bool:
    """Whether two answers are the same."""
    return answer_key(answer) == answer_key(gold)
