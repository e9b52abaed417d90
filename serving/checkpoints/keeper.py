"""Keeps a server for its owner: ``python -m dspy_fusion.serving.checkpoints.keeper COMMAND...``.

The server ends when this process's standard input does, which is when its owner closes it or dies, however that
happens, or when this process is told to end. It has a session of its own, so that the processes it starts end with it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading

_PATIENCE = 10  # seconds between asking a server to end and ending it


def main() -> None:
    """Runs the command until it ends, standard input does, or this process is told to end."""
    server = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, start_new_session=True)
    signal.signal(signal.SIGTERM, lambda *_: _signal(server, signal.SIGTERM))
    threading.Thread(target=_end_with_input, args=(server,), daemon=True).start()
    code = server.wait()
    _signal(server, signal.SIGKILL)  # what it started may outlive it
    sys.exit(code)


def _end_with_input(server: subprocess.Popen[bytes]) -> None:
    sys.stdin.read()
    _signal(server, signal.SIGTERM)
    try:
        server.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
        pass
    _signal(server, signal.SIGKILL)


def _signal(server: subprocess.Popen[bytes], number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(server.pid, number)


if __name__ == "__main__":
    main()
