"""Outbox: what is to be told to a tracking server, one JSON line each, kept until someone has told it.

Lines are only ever appended, each in one write, so several processes may share the file. A torn last line is one that
was never told.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class Outbox:
    """A file of messages.

    Args:
        path: the file; it is made with the first message.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def put(self, message: Mapping[str, Any]) -> None:
        """Appends a message.

        Raises:
            OSError: it cannot be written whole, such as where the disk is full; what was written of it counts as never
                told.
        """
        line = json.dumps(message, ensure_ascii=False) + "\n"
        handle = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            if _is_torn(self.path):
                line = "\n" + line
            if os.write(handle, content := line.encode()) < len(content):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        finally:
            os.close(handle)

    def messages(self) -> list[dict[str, Any]]:
        """All whole messages, in order."""
        if not self.path.exists():
            return []
        found = []
        for line in self.path.read_text(encoding="utf-8", errors="replace").split(
            "\n"
        ):  # no other line ends, which texts may contain
            try:
                found.append(json.loads(line))
            except ValueError:
                continue  # torn by a kill
        return found


def _is_torn(path: Path) -> bool:
    with path.open("rb") as file:
        if not file.seek(0, os.SEEK_END):
            return False
        file.seek(-1, os.SEEK_END)
        return file.read(1) != b"\n"
