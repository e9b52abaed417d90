"""Whether an answer is a refusal, by how it begins.

A word list, not a model: it is cheap, the same on every machine, and can be added to.

Only the beginning counts, for a good answer may well quote a refusal or apologise further down.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_BEGINNING = 160
_PATTERNS = (
    r"(i'?m|i am) (really |very |so |truly )?(sorry|afraid)\b.{0,60}\b(can'?t|cannot|can not|unable|not able|won'?t)",
    (
        r"(sorry|apologies|my apologies|unfortunately)\b.{0,60}\b(i|we) (can'?t|cannot|can not|am unable|am not"
        r" able|won'?t|are unable)"
    ),
    r"i (can'?t|cannot|can not|won'?t|will not|'?m unable to|am unable to|am not able to|must decline to|have to"
    r" decline to) "
    r"(assist|help|comply|provide|answer|respond|fulfil|fulfill|complete|create|generate|write|do"
    r" that|discuss|engage|participate)",
    (
        r"as an? (ai|artificial intelligence|large language|language)\b.{0,80}\b(can'?t|cannot|unable|not"
        r" able|don'?t|do not)"
    ),
    r"(lo siento|perdón|disculpa)\b.{0,40}\bno puedo",
    r"(je suis désolée?|désolée?)\b.{0,60}\bje ne (peux|suis) pas",
    r"(es tut mir leid|tut mir leid|entschuldigung|leider)\b.{0,40}\b(kann ich|ich kann)\b.{0,60}\b(nicht|keine)\b",
    r"(desculpe|sinto muito|lamento)\b.{0,40}\bnão posso",
    r"(mi dispiace|spiacente)\b.{0,40}\bnon posso",
    r"(извините|к сожалению|простите)\b.{0,40}\bне могу",  # noqa: RUF001 (it is Russian)
    r"(抱歉|对不起|對不起|很抱歉).{0,20}(无法|無法|不能)",
    r"(申し訳|すみません).{0,40}(できません|できかねます|お答えでき)",
    r"(죄송|미안).{0,40}(없습니다|어렵습니다)",
)


class RefusalGate:
    """Finds refusals in English and nine other languages.

    Args:
        patterns: further regular expressions, looked for at the answer's beginning in any case of letters.
    """

    def __init__(self, patterns: Sequence[str] = ()) -> None:
        self._pattern = re.compile(
            "|".join(f"(?:{pattern})" for pattern in (*_PATTERNS, *patterns)), re.IGNORECASE | re.DOTALL
        )

    def found(self, answer: str) -> str | None:
        """The words at the answer's beginning by which it is a refusal, or None."""
        beginning = answer.strip()[:_BEGINNING].replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
        match = self._pattern.match(beginning)
        return match[0] if match else None
