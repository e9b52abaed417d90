"""A file that one process at a time holds: a lock of the operating system's, which ends with the process however that
ends.
"""

from __future__ import annotations

from pathlib import Path
from typing import IO

from .errors import ConfigurationError


def held(path: Path, otherwise: str) -> IO[str]:
    """Opens a file to add to, and keeps all others from holding it until it is closed or this process ends.

    Args:
        path: of the file, which is made where it is not there.
        otherwise: the message where somebody holds it already.

    Raises:
        ConfigurationError: it is held already.
        OSError: it cannot be opened.
    """
    import fcntl  # which not every system has, and only those who hold a file need

    file = path.open("a", encoding="utf-8")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.close()
        raise ConfigurationError(otherwise) from error
    return file
