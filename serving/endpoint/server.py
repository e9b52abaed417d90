"""Running the endpoint: where it may listen, how it stops, and a server for the length of a ``with`` block."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import uvicorn

from dspy_fusion.programs.errors import ConfigurationError, MissingKey

from .answers import Served
from .app import create_app
from .connections import close_late, guarded
from .request_limits import Limits

KEY_VARIABLE = "DSPY_FUSION_API_KEY"
_LAST_SECONDS = 2.0  # in which a client takes in that its request was ended
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


def serve(
    models: Sequence[Served],
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    limits: Limits | None = None,
    ready: Callable[[str], None],
) -> None:
    """Serves until the process is interrupted or told to stop (SIGTERM).

    Answers that have begun are finished within the grace time.

    Args:
        models: what is served.
        host: the address to listen at; any but this machine's own needs a key in ``DSPY_FUSION_API_KEY``.
        port: 0 takes a free one.
        limits: what requests may take; None for the defaults.
        ready: called with the base URL when the server answers.

    Raises:
        MissingKey: the address can be reached from elsewhere and there is no key.
        ConfigurationError: there is nothing to serve, or the address cannot be listened at.
    """
    with _listening(host, port) as listener:
        server = _server(models, limits or Limits(), key_for(host), lambda: ready(_url(listener)))
        for model in models:
            model.warm_up()
        gc.collect()
        # what has been loaded stays: each full collection would walk through it, and all answers wait for 0.1 s
        gc.freeze()
        before = signal.signal(
            signal.SIGTERM, lambda *_: None
        )  # uvicorn raises it again when it has stopped: that is the end, no failure
        try:
            asyncio.run(server.serve([listener]))
        finally:
            gc.unfreeze()
            signal.signal(signal.SIGTERM, before)


@contextmanager
def endpoint_server(models: Sequence[Served], *, limits: Limits | None = None, key: str = "") -> Iterator[str]:
    """Serves on a free port of this machine while the block runs; gives the base URL, ``http://127.0.0.1:PORT/v1``."""
    started = threading.Event()
    with _listening("127.0.0.1", 0) as listener:
        server = _server(models, limits or Limits(grace_seconds=5), key, started.set)
        thread = threading.Thread(
            target=lambda: asyncio.run(server.serve([listener])), name="dspy-fusion-endpoint", daemon=True
        )
        thread.start()
        try:
            started.wait()
            yield _url(listener)
        finally:
            server.should_exit = True
            thread.join()


def key_for(host: str) -> str:
    """The key of the environment, or an empty text.

    Raises ``MissingKey`` where the address needs one, and ``ConfigurationError`` where no client could send it.
    """
    key = os.environ.get(KEY_VARIABLE, "")
    if not (key.isascii() and key.isprintable()) or key != key.strip():
        raise ConfigurationError(
            f"{KEY_VARIABLE} has characters that no HTTP header can carry; use letters, digits and signs of ASCII"
        )
    if not key and host not in _LOOPBACK:
        raise MissingKey(
            f"host {host!r} can be reached from other machines: set {KEY_VARIABLE} to a key that clients must send, or"
            " use 127.0.0.1"
        )
    return key


class _Server(uvicorn.Server):
    def __init__(
        self, config: uvicorn.Config, stop: Callable[[], None], grace: float, ready: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._stop, self._grace, self._ready = stop, grace, ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()

    async def on_tick(self, counter: int) -> bool:
        if counter % 10 == 0:  # once a second
            close_late(self.server_state.connections)
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Lets what has begun come to its end, then tells its clients with a 503, then closes what is left."""
        loop = asyncio.get_running_loop()
        timers = [
            loop.call_later(self._grace, self._stop),
            loop.call_later(self._grace + _LAST_SECONDS, self._abort),
        ]
        await super().shutdown(sockets)
        for timer in timers:
            timer.cancel()

    def _abort(self) -> None:
        for connection in list(self.server_state.connections):
            if (transport := getattr(connection, "transport", None)) is not None:
                transport.abort()


def _server(models: Sequence[Served], limits: Limits, key: str, ready: Callable[[], None]) -> _Server:
    app = create_app(models, limits=limits, key=key)
    config = uvicorn.Config(
        app,
        # the faster httptools, which would be taken where it is installed, sets no limit to the size of headers
        http=guarded(limits),  # type: ignore[arg-type]
        access_log=False,
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=int(limits.grace_seconds + 2 * _LAST_SECONDS) + 1,
        timeout_keep_alive=30,
    )
    return _Server(config, app.state.stop, limits.grace_seconds, ready)


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.create_server((host, port), family=family, backlog=1024)
        # As asyncio does for sockets of its own making; without it a token of a stream waits 40 ms until the one before
        # is confirmed.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except (OSError, OverflowError) as error:
        raise ConfigurationError(f"cannot listen at {host}:{port}: {error}; choose another --host or --port") from error
    with listener:
        yield listener


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}/v1" if ":" in host else f"http://{host}:{port}/v1"
