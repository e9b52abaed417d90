"""JSON that somebody else wrote: whatever is wrong with it is a ``ValueError``."""

from __future__ import annotations

import json
from typing import Any


def read_json(text: str | bytes) -> Any:
    """The value of a JSON text.

    Python's own reader has another error for one that is nested too deeply, which is no error of values, and so goes
    past every handler of them.

    Raises:
        json.JSONDecodeError: it is none, or is nested too deeply; a ``ValueError``.
    """
    try:
        return json.loads(text)
    except RecursionError:
        shown = text if isinstance(text, str) else text.decode("utf-8", "replace")
        raise json.JSONDecodeError("nested too deeply", shown, 0) from None
