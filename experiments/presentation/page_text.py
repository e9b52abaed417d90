"""Text that others wrote, made safe to look at.

What would not be seen, or would reorder the page, is named by its code point.

Escaping for HTML is the template's work. Joiners are left alone, since several scripts are written with them.
"""

from __future__ import annotations

import re
from typing import Any

# Controls but tab and newline, invisible and bidirectional format characters, line separators, tags, and halves of
# surrogate pairs.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e007f\ud800-\udfff]"
)


_NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
_RUN_BY_SPREADSHEETS = ("=", "+", "-", "@", "\t", "\r", "\n")


def spreadsheet_cell(value: Any) -> Any:
    """The value, and if it is text that a spreadsheet would run as a formula, the same behind an apostrophe.

    Numbers, signed ones too, stay as they are.
    """
    if not isinstance(value, str):
        return value
    text = visible(value)
    if not text.startswith(_RUN_BY_SPREADSHEETS) or _NUMBER.fullmatch(text):
        return text
    return f"'{text}"


def visible(value: Any) -> Any:
    """The value, and if it is text that a template did not write itself,
    with every unseen character written as ``[U+202E]``.
    """
    if not isinstance(value, str) or hasattr(value, "__html__"):
        return value
    return _UNSEEN.sub(lambda match: f"[U+{ord(match[0]):04X}]", value)
