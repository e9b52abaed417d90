"""DSPy's native client over connections that end with their call, and with bodies whose usage is one.

The engines of a ``dspy.LM`` are kept in a store that its copies share; this store makes them with a transport of ours,
which is otherwise DSPy's own, with the same time limits and the same pool.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from dspy._vendor.lm15.transports import (
    AsyncTransportResponse,
    StdlibAsyncTransport,
    StdlibTransport,
    TransportResponse,
)
from dspy.clients.engines.lm15_engine import AsyncLM15Engine, LM15Engine

from .open_calls import current_call
from .usage_body import EventLines, with_plain_usage, with_plain_usages


class _Transport(StdlibTransport):
    def stream(self, request: Any) -> TransportResponse:
        """The answer to a request, within what is left of the call that makes it."""
        if (call := current_call()) is not None:
            request = replace(
                request,
                connect_timeout=call.within(request.connect_timeout or self._connect_timeout),
                read_timeout=call.within(request.read_timeout or self._read_timeout),
            )
        made = super().stream(request)
        if not (kind := _kind(made)):
            return made
        return TransportResponse(
            status=made.status,
            reason=made.reason,
            headers=made.headers,
            http_version=made.http_version,
            chunks=with_plain_usages(made) if kind == "events" else _whole(made),
            release=lambda is_read: made.close(),
        )

    def _send_request(self, conn: Any, *args: Any, **options: Any) -> None:
        if (call := current_call()) is not None:
            call.hold(conn.sock)
        super()._send_request(conn, *args, **options)


class _AsyncTransport(StdlibAsyncTransport):
    @asynccontextmanager
    async def stream(self, request: Any) -> AsyncIterator[AsyncTransportResponse]:  # type: ignore[override]
        """As of threads; what is cancelled closes its connection itself."""
        async with StdlibAsyncTransport.stream(self, request) as made:
            kind = _kind(made)

            async def release(is_read: bool) -> None:
                await made.aclose()

            yield (
                made
                if not kind
                else AsyncTransportResponse(
                    status=made.status,
                    reason=made.reason,
                    headers=made.headers,
                    http_version=made.http_version,
                    chunks=_aevents(made) if kind == "events" else _awhole(made),
                    release=release,
                )
            )


class _Engine(LM15Engine):
    def close(self) -> None:
        """Closes the engine and the connections, which are its own."""
        super().close()
        self.config.transport.close()  # type: ignore[union-attr]


class _AsyncEngine(AsyncLM15Engine):
    async def aclose(self) -> None:
        """As of threads."""
        await super().aclose()
        await self.config.transport.aclose()  # type: ignore[union-attr]


class _Engines(dict[Any, Any]):
    """A store that puts a transport of ours under each engine, before its first call."""

    def __setitem__(self, key: Any, engine: Any) -> None:
        _put_under(engine)
        super().__setitem__(key, engine)


def watch_native(lm: Any) -> None:
    """Has the native engines of a model, and of its copies from now on, read as this module says."""
    store = getattr(lm, "_engine_store", None)
    if type(store) is not dict:
        return
    with lm._engine_lock:
        if type(lm._engine_store) is dict:
            watched = _Engines()
            for key, engine in lm._engine_store.items():
                watched[key] = engine
            lm._engine_store = watched


def _put_under(engine: Any) -> None:
    """Puts our transport under an engine of DSPy's that has none of somebody's own."""
    makers = {LM15Engine: (_Engine, _Transport), AsyncLM15Engine: (_AsyncEngine, _AsyncTransport)}
    if type(engine) not in makers or engine.config.transport is not None:
        return
    kind, transport = makers[type(engine)]
    made = transport(**engine.config.transport_kwargs())
    config = replace(engine.config, transport=made, timeouts=None, max_connections=None)
    engine._providers.clear()  # which were built over the other transport
    kind.__init__(engine, config, model_type=engine.model_type)
    engine.__class__ = kind


def _kind(made: TransportResponse | AsyncTransportResponse) -> str:
    """What of an answer's body is looked at: "events", "whole", or nothing."""
    if made.status >= 300 or (made.header("content-encoding") or "identity").lower() != "identity":
        return ""
    content = (made.header("content-type") or "").lower()
    return "events" if "event-stream" in content else "whole" if "json" in content else ""


def _whole(made: TransportResponse) -> Iterator[bytes]:
    yield with_plain_usage(made.read())


async def _awhole(made: AsyncTransportResponse) -> AsyncIterator[bytes]:
    yield with_plain_usage(await made.read())


async def _aevents(made: AsyncTransportResponse) -> AsyncIterator[bytes]:
    lines = EventLines()
    async for chunk in made:
        for line in lines.fed(chunk):
            yield line
    for line in lines.rest():
        yield line
