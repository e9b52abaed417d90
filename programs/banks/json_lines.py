"""JsonLines: a file of JSON lines that a kill, a full disk or a second writer leaves whole.

Each line goes out in one write and is in the operating system's hands when ``append`` returns, so a killed process
loses at most the line it was writing. That torn line is cut off when the file is opened again, or, where several
processes share the file, closed with a line feed and left out by readers.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_CHUNK = 1 << 20


class JsonLines:
    """Appends lines to a file; threads may share it.

    Args:
        path: the file; it is made with the first line.
        shared: whether other processes append to it at the same time, so that nothing may ever be cut off.

    Raises:
        OSError: the file cannot be read or written.
    """

    def __init__(self, path: Path, *, shared: bool = False) -> None:
        self.path, self.shared = path, shared
        self._lock = threading.Lock()
        self._handle: int | None = None
        if not shared and path.exists():
            cut_torn_line(path)

    def append(self, line: bytes) -> int:
        """Appends a line, given without its line feed; returns where in the file it begins.

        Raises:
            OSError: it cannot be written whole, such as where the disk is full; what was written of it is taken back,
                or in a shared file counts as never written.
        """
        with self._lock:
            if self._handle is None:
                self._handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
            begin = os.lseek(self._handle, 0, os.SEEK_END)
            content = line + b"\n"
            if self.shared and begin and os.pread(self._handle, 1, begin - 1) != b"\n":
                content = b"\n" + content
            try:
                if os.write(self._handle, content) < len(content):  # a full disk takes a part and tells by the count
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            except OSError:
                if not self.shared:
                    with suppress(OSError):
                        os.ftruncate(self._handle, begin)
                raise
            return begin

    def close(self) -> None:
        """Closes the file, which the next line opens again; what was appended stays."""
        with self._lock:
            if self._handle is not None:
                os.close(self._handle)
                self._handle = None


def whole_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """The lines of a file, each with where it begins and without its line feed; a torn last line is left out.

    Only line feeds end lines, for texts may hold other separators.
    """
    begin = 0
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                yield begin, line[:-1]
            begin += len(line)


def cut_torn_line(path: Path) -> None:
    """Cuts off what was being written when the writer was killed: everything behind the last line feed."""
    with path.open("r+b") as file:
        end = keep = file.seek(0, os.SEEK_END)
        while keep > 0:
            start = max(0, keep - _CHUNK)
            file.seek(start)
            place = file.read(keep - start).rfind(b"\n")
            if place >= 0:
                keep = start + place + 1
                break
            keep = start
        if keep < end:
            file.truncate(keep)
