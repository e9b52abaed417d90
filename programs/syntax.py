"""Reading Python source, in several threads at once too."""

from __future__ import annotations

import ast
import threading

_TRIES = 8
_lock = threading.RLock()  # whatever is cleared away meanwhile may read, too


def parsed(source: str) -> ast.Module:
    """The syntax tree of a source, as ``ast.parse`` reads it.

    Python 3.11 counts the depth of what it reads in one place for all threads, and where one is interrupted by another
    it finds the count wrong and raises a ``SystemError``. Here one thread reads at a time, and one that was interrupted
    by somebody else's reading reads again.

    Raises:
        SyntaxError: it is no Python.
        ValueError: it holds what no source may.
    """
    with _lock:
        for _ in range(_TRIES - 1):
            try:
                return ast.parse(source)
            except SystemError:
                continue
        return ast.parse(source)
