"""What a process is called in a database that others read too, and whether it still runs."""

from __future__ import annotations

import os
import socket

_ENDED = "ended"


def own_name() -> str:
    """This process: host, process id and when it began, so that a reused id is not taken for it."""
    return f"{socket.gethostname()}:{os.getpid()}-{_began(os.getpid())}"


def runs_here(name: str) -> bool | None:
    """Whether a process runs on this machine; None where it belongs to another one, which is not known from here."""
    host, _, process = name.rpartition(":")
    if host != socket.gethostname():
        return None
    number, _, began = process.partition("-")
    return _runs(int(number)) and _began(int(number)) == began


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _began(process: int) -> str:
    """When a process began, in clock ticks since the machine did; an empty string where the system does not say.

    A process that has ended, and that whoever started it has not asked about yet, did not begin: it would look alive
    for ever.
    """
    try:
        with open(f"/proc/{process}/stat") as file:
            state, *rest = file.read().rpartition(")")[2].split()
    except OSError:
        return ""
    return _ENDED if state in "ZX" else rest[18]
