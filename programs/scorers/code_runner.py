"""Runs one candidate's code against tests: ``python -I code_runner.py``, in a process and a folder of its own.

It reads one JSON object from standard input (``code``, ``tests`` and the limits) and writes a JSON list to standard
output: None for each test that was passed, else the cause. What isolates it is set before any of the code is seen.
Nothing but the standard library is imported, and nothing of this library.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import secrets
import signal
import struct
import sys
import time
from typing import Any

_NEW_USER, _NEW_PROCESSES, _NEW_NETWORK = 0x10000000, 0x20000000, 0x40000000
_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446
# Landlock's rights to change the file system, of version 1: writing, removing, and making of every kind.
_WRITES = sum(1 << bit for bit in (1, 4, 5, 6, 7, 8, 9, 10, 11, 12))
_NO_NEW_PRIVILEGES = 38
_LOOK_SECONDS = 0.005


def main() -> None:
    """Isolates the process and runs the tests."""
    job = json.load(sys.stdin)
    report = os.dup(1)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    _limit(job)
    processes = _unshare()
    if processes and (inside := os.fork()):  # the first process of the new space takes all others with it when it ends
        _, status = os.waitpid(inside, 0)
        os._exit(os.waitstatus_to_exitcode(status))
    _confine(os.getcwd())
    results = [_outcome(job["code"], test, job["seconds"]) for test in job["tests"]]
    os.write(report, json.dumps(results).encode())
    os._exit(0)


def _limit(job: dict[str, Any]) -> None:
    seconds = int(job["seconds"]) + 1
    limits = {
        resource.RLIMIT_CPU: seconds,
        resource.RLIMIT_AS: job["memory_bytes"],
        resource.RLIMIT_FSIZE: job["file_bytes"],
        resource.RLIMIT_NOFILE: 64,
        resource.RLIMIT_CORE: 0,
    }
    if hasattr(resource, "RLIMIT_NPROC"):
        limits[resource.RLIMIT_NPROC] = job["processes"]
    for kind, limit in limits.items():
        with contextlib.suppress(ValueError, OSError):  # a lower limit of the system's own stays
            resource.setrlimit(kind, (limit, limit))


def _unshare() -> bool:
    """No network, and a space of processes of its own, where the system allows them."""
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "unshare"):
        return False
    own_user = _NEW_USER if os.geteuid() else 0
    if libc.unshare(own_user | _NEW_PROCESSES | _NEW_NETWORK) == 0:
        return True
    libc.unshare(own_user | _NEW_NETWORK)
    return False


def _confine(folder: str) -> None:
    """No writing outside the folder, where the kernel has Landlock."""
    if not sys.platform.startswith("linux"):
        return
    libc = ctypes.CDLL(None, use_errno=True)
    rights = ctypes.create_string_buffer(struct.pack("<Q", _WRITES))
    rules = libc.syscall(_LANDLOCK_CREATE, rights, ctypes.c_size_t(8), 0)
    if rules < 0:
        return
    for path in (folder, os.devnull):
        place = os.open(path, os.O_PATH)
        allowed = _WRITES if path == folder else 1 << 1
        rule = ctypes.create_string_buffer(struct.pack("<Qi", allowed, place))
        libc.syscall(_LANDLOCK_ADD, rules, 1, rule, 0)
        os.close(place)
    libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    libc.syscall(_LANDLOCK_RESTRICT, rules, 0)
    os.close(rules)


def _outcome(code: str, test: str, seconds: float) -> str | None:
    """None where the code passes the test. A process of its own for each, so that none can spoil the next."""
    token = secrets.token_hex(8)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _attempt(code, test, token, writing)
    os.close(writing)
    status = _awaited(child, seconds)
    os.set_blocking(reading, False)  # what the code left running may hold the other end
    try:
        said = os.read(reading, 10_000).decode(errors="replace")
    except BlockingIOError:
        said = ""
    os.close(reading)
    if said == token:
        return None
    if said.startswith(token):
        return said[len(token) :]
    return f"it took longer than {seconds:g} seconds" if status is None else f"the process ended with {status}"


def _awaited(child: int, seconds: float) -> int | None:
    """The exit code of a process, or None where it had to be ended."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(_LOOK_SECONDS)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def _attempt(code: str, test: str, token: str, writing: int) -> None:
    said = token
    try:
        names: dict[str, Any] = {"__name__": "__candidate__"}
        exec(compile(code, "<candidate>", "exec"), names)
        exec(compile(test, "<test>", "exec"), names)
    except BaseException as error:  # noqa: BLE001 (whatever it is, the test is not passed)
        said += f"{type(error).__name__}: {error}"[:300]
    os.write(writing, said.encode(errors="replace"))
    os._exit(0)


if __name__ == "__main__":
    main()
