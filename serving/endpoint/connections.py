"""Connections that cannot use the server up: a limit to their number and to the time that a client may take.

uvicorn limits the size of headers but not the time in which they come, so that clients that send half a request keep
their connections, and a process has only so many descriptors.
"""

from __future__ import annotations

import logging
import resource
import time
from collections.abc import Iterable
from functools import partial
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from dspy_fusion.programs.redaction import redacting

from .request_limits import Limits

logger = redacting(logging.getLogger(__name__))

_OTHER_FILES = 200  # descriptors that are kept for files, databases and the models' own connections
_MOST_FILES = 8192
_FRESH_SECONDS = 1.0  # a connection younger than this is not closed for another
_REFUSAL = b"HTTP/1.1 %b\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class GuardedProtocol(H11Protocol):
    """uvicorn's protocol, with the limits of this server."""

    def __init__(self, *args: Any, limits: Limits, most: int, **options: Any) -> None:
        super().__init__(*args, **options)
        self._limits, self._most = limits, most
        self._waits_since: float | None = None  # for the end of a request's headers
        self._idle_since: float | None = None  # without any of a next request
        self._full_since: float | None = None  # with what the client does not take in

    def connection_made(self, transport: Any) -> None:
        """Takes the connection, in the place of one that waits where there are too many."""
        super().connection_made(transport)
        self._waits_since = time.monotonic()
        if len(self.connections) > self._most and not self._close_another():
            self._refuse(b"503 Service Unavailable")

    def data_received(self, data: bytes) -> None:
        """Reads on."""
        if self._idle_since is not None:
            self._waits_since, self._idle_since = time.monotonic(), None
        super().data_received(data)
        if self._is_answering:
            self._waits_since = None

    def on_response_complete(self) -> None:
        """Waits for the next request."""
        self._idle_since = time.monotonic()
        super().on_response_complete()
        if self._is_answering:  # one that had come already
            self._idle_since = None

    def pause_writing(self) -> None:
        """Notes since when the client takes nothing in."""
        self._full_since = time.monotonic()
        super().pause_writing()

    def resume_writing(self) -> None:
        """Goes on."""
        self._full_since = None
        super().resume_writing()

    def close_if_late(self, now: float) -> None:
        """Ends a connection whose client takes too long."""
        if self._waits_since is not None and now - self._waits_since > self._limits.header_seconds:
            self._refuse(b"408 Request Timeout")
        elif self._full_since is not None and now - self._full_since > self._limits.body_seconds:
            self.transport.abort()

    @property
    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    @property
    def _waiting_since(self) -> float | None:
        """Since when it has been nobody's turn but the client's."""
        return self._waits_since if self._waits_since is not None else self._idle_since

    def _close_another(self) -> bool:
        others = (c for c in self.connections if isinstance(c, GuardedProtocol) and c is not self)
        waiting = [(since, id(c), c) for c in others if (since := c._waiting_since) is not None]
        if not waiting or time.monotonic() - (first := min(waiting))[0] < _FRESH_SECONDS:
            return False
        self.connections.discard(first[2])
        first[2]._refuse(b"408 Request Timeout")
        return True

    def _refuse(self, status: bytes) -> None:
        self._waits_since = self._idle_since = None
        if not self.transport.is_closing():
            self.transport.write(_REFUSAL % status)
            self.transport.close()


def guarded(limits: Limits) -> partial[GuardedProtocol]:
    """The protocol with these limits, and as many connections at most as the process may have."""
    allowed = _allowed_files()
    most = limits.connections
    if most > allowed - _OTHER_FILES:
        most = max(16, allowed - _OTHER_FILES)
        logger.warning(
            "connections=%d is more than the %d descriptors of this process allow; %d are taken (see ulimit -n)",
            *(limits.connections, allowed, most),
        )
    return partial(GuardedProtocol, limits=limits, most=most)


def close_late(connections: Iterable[Any]) -> None:
    """Ends the connections whose clients take too long; to be called about once a second."""
    now = time.monotonic()
    for connection in list(connections):
        if isinstance(connection, GuardedProtocol):
            connection.close_if_late(now)


def _allowed_files() -> int:
    """How many descriptors this process may have, once its own limit is raised towards the system's."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    if soft == resource.RLIM_INFINITY:
        return _MOST_FILES
    if soft < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        except (OSError, ValueError):
            return soft
        return wanted
    return soft
