"""Keeps warnings that the records count anyway off the terminal, where they would bury the progress."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def only_errors_logged(*names: str) -> Iterator[None]:
    """Has these loggers pass on errors alone, while the block runs."""
    before = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)
