"""Which connections a call of a model reads from, so that they can be ended when nobody waits for its answer any more.

A thread that reads from a server that hangs, or sends a byte now and then, cannot be told of a deadline; its socket can
be shut down, and then it reads the end of the stream.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_lock = threading.Lock()
_reader: weakref.WeakKeyDictionary[socket.socket, OpenCall] = weakref.WeakKeyDictionary()


class OpenCall:
    """One call of a model, and the sockets that it reads from.

    Args:
        end: when nobody waits for it any more, by ``time.monotonic()``, or None.
    """

    def __init__(self, end: float | None = None) -> None:
        self.end = end
        self.is_over = False
        self._sockets: dict[int, socket.socket] = {}

    def hold(self, sock: object) -> None:
        """Notes a socket that the call reads from; where nobody waits for the call any more, that is its end.

        Connections go from call to call, before one of them is over: whoever read from it before holds it no more.
        """
        if isinstance(sock, socket.socket):
            with _lock:
                self._sockets[id(sock)] = sock
                _reader[sock] = self
            if self.is_over:
                self.give_up()

    def give_up(self) -> None:
        """Ends what the call reads from, now and from now on."""
        self.is_over = True
        with _lock:  # until they are ended, for no other call must come to read from them meanwhile
            for sock in self._let_go():
                with contextlib.suppress(OSError):
                    # not the method of a TLS socket, which would take its session away from the thread that reads
                    socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def finished(self) -> None:
        """Lets go of all sockets: from now on they may be another call's."""
        with _lock:
            self._let_go()

    def _let_go(self) -> list[socket.socket]:
        """The sockets that the call read from last, which are nobody's now."""
        own = [sock for sock in self._sockets.values() if _reader.get(sock) is self]
        for sock in own:
            del _reader[sock]
        self._sockets.clear()
        return own

    def within(self, timeout: float | None) -> float | None:
        """A time limit in seconds that is not later than the end of the call."""
        if self.end is None:
            return timeout
        left = max(0.01, self.end - time.monotonic())
        return left if timeout is None else min(timeout, left)


_current: ContextVar[OpenCall | None] = ContextVar("dspy_fusion_open_call", default=None)


def current_call() -> OpenCall | None:
    """The call that this code makes, or None outside of any."""
    return _current.get()


@contextmanager
def making(call: OpenCall) -> Iterator[None]:
    """The sockets that are read from within are this call's."""
    token = _current.set(call)
    try:
        yield
    finally:
        _current.reset(token)
        call.finished()
