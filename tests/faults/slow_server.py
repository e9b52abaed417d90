"""A server whose answers never end: it says nothing, or a byte now and then, before or after the head."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100000\r\n\r\n"
BEGUN = {"hang": b"", "drip": HEAD, "drip in the head": b"HTTP/1.1 200 OK\r\nx-long: "}


class SlowServer:
    """Listens on a free port of 127.0.0.1; ``open`` has the connections that its clients have not closed."""

    def __init__(self, mode: str) -> None:
        self._mode, self._listening = mode, socket.create_server(("127.0.0.1", 0))
        self.open: set[socket.socket] = set()
        self.address = f"http://127.0.0.1:{self._listening.getsockname()[1]}/v1"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                self.open.add(connection)
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            connection.recv(1 << 16)
            if begun := BEGUN[self._mode]:
                connection.sendall(begun)
                while True:
                    connection.sendall(b" ")
                    time.sleep(0.1)
            while connection.recv(1 << 16):
                pass
        self.open.discard(connection)
        connection.close()

    def close(self) -> None:
        self._listening.close()
        for connection in list(self.open):
            connection.close()


@contextmanager
def slow_server(mode: str) -> Iterator[SlowServer]:
    server = SlowServer(mode)
    try:
        yield server
    finally:
        server.close()
