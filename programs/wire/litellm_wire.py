"""Litellm's clients over connections that end with their call, and with bodies whose usage is one.

Litellm keeps the HTTP clients that it makes in a cache of its own; each is given a hook for its answers and a network
whose reads know the call that they belong to. Outside of a call of ours neither changes anything.
"""

from __future__ import annotations

import gc
import importlib
import sys
import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from functools import cache
from types import ModuleType
from typing import Any

from .open_calls import current_call
from .usage_body import EventLines, with_plain_usage, with_plain_usages

_WINDOWS = {"gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}


def watch_litellm(lm: Any) -> None:
    """Has litellm's clients read as this module says, if the model may be called through it."""
    loaded = sys.modules.get("litellm")
    if loaded is None or type(loaded) is not ModuleType:  # not there yet, or a name that loads it when it is used
        if not _needs_litellm(lm):
            return
        from dspy.clients._litellm import get_litellm

        with _no_look_for_garbage():
            loaded = get_litellm(feature="calls of models")
    else:
        loaded = importlib.import_module("litellm")  # whole: another thread may be importing it
    _watch(loaded)


@contextmanager
def _no_look_for_garbage() -> Iterator[None]:
    """For an import that makes a million objects which stay: looking through them takes a quarter of its time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _needs_litellm(lm: Any) -> bool:
    from dspy.clients.engines.litellm_engine import AsyncLiteLLMEngine, LiteLLMEngine

    engine = getattr(lm, "engine", None)
    if isinstance(engine, str):
        return engine == "litellm" or (engine == "auto" and not _is_native(str(lm.model), str(lm.model_type)))
    return isinstance(engine, LiteLLMEngine | AsyncLiteLLMEngine)


@cache
def _is_native(model: str, model_type: str) -> bool:
    import dspy
    from dspy.clients.backend_selection import select_backend

    return select_backend(dspy.LM(model, model_type=model_type)).native  # type: ignore[arg-type]


@cache
def _watch(litellm: ModuleType) -> None:
    """Watches the clients that litellm has and will have."""
    clients: Any = litellm.in_memory_llm_clients_cache
    for client in list(clients.cache_dict.values()):
        _watch_client(client)
    kind = type(clients)

    def set_cache(self: Any, key: str, value: object, *args: Any, **options: Any) -> Any:
        _watch_client(value)
        return kind.set_cache(self, key, value, *args, **options)

    clients.__class__ = type(kind.__name__, (kind,), {"set_cache": set_cache})


def _watch_client(holder: Any) -> None:
    """Watches the HTTP client of an SDK's client or of litellm's own handler."""
    client: Any
    for client in (getattr(holder, "_client", None), getattr(holder, "client", None)):
        hooks = getattr(client, "event_hooks", None)
        if not isinstance(hooks, dict) or not hasattr(client, "send"):
            continue
        hook = _on_answer if not _is_async(client) else _on_awaited_answer
        if hook not in hooks.get("response", []):
            client.event_hooks = {**hooks, "response": [*hooks.get("response", []), hook]}
            for transport in (getattr(client, "_transport", None), *getattr(client, "_mounts", {}).values()):
                _watch_network(transport)


def _is_async(client: Any) -> bool:
    return hasattr(client, "aclose")


def _watch_network(transport: Any) -> None:
    pool = getattr(transport, "_pool", None)
    backend = getattr(pool, "_network_backend", None)
    if pool is not None and hasattr(backend, "connect_tcp") and not hasattr(pool, "aclose"):
        pool._network_backend = _Network(backend)


class _Network:
    """A pool's network, whose connections know the call that reads from them."""

    def __init__(self, backend: Any) -> None:
        self._backend = backend

    def connect_tcp(self, *args: Any, **options: Any) -> _Connection:
        """A connection, made within what is left of the call."""
        if (call := current_call()) is not None and "timeout" in options:
            options["timeout"] = call.within(options["timeout"])
        return _Connection(self._backend.connect_tcp(*args, **options))

    def connect_unix_socket(self, *args: Any, **options: Any) -> _Connection:
        """As :meth:`connect_tcp`."""
        return _Connection(self._backend.connect_unix_socket(*args, **options))

    def sleep(self, seconds: float) -> None:
        """Waits."""
        self._backend.sleep(seconds)


class _Connection:
    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Reads within what is left of the call, which holds the connection from now on."""
        return self._stream.read(max_bytes, timeout=self._held(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """As :meth:`read`."""
        self._stream.write(buffer, timeout=self._held(timeout))

    def close(self) -> None:
        """Closes it."""
        self._stream.close()

    def start_tls(self, *args: Any, **options: Any) -> _Connection:
        """The same connection, encrypted."""
        return _Connection(self._stream.start_tls(*args, **options))

    def get_extra_info(self, info: str) -> Any:
        """What the network says of it."""
        return self._stream.get_extra_info(info)

    def _held(self, timeout: float | None) -> float | None:
        call = current_call()
        if call is None:
            return timeout
        encrypted = self._stream.get_extra_info("ssl_object")
        if encrypted is None or encrypted.selected_alpn_protocol() != "h2":  # which would be other calls' as well
            call.hold(self._stream.get_extra_info("socket"))
        return call.within(timeout)


def _on_answer(response: Any) -> None:
    if (kind := _kind(response)) and (window := _window(response)) is not None:
        response.stream = _mended(_library(response).SyncByteStream)(response.stream, kind, window)


async def _on_awaited_answer(response: Any) -> None:
    if (kind := _kind(response)) and (window := _window(response)) is not None:
        response.stream = _amended(_library(response).AsyncByteStream)(response.stream, kind, window)


def _library(response: Any) -> ModuleType:
    """The HTTP library of an answer: there are several of one kind."""
    return sys.modules[type(response).__module__.partition(".")[0]]


def _kind(response: Any) -> str:
    if current_call() is None or response.status_code >= 300:
        return ""
    content = response.headers.get("content-type", "").lower()
    return "events" if "event-stream" in content else "whole" if "json" in content else ""


def _window(response: Any) -> int | None:
    """How the body is packed, which it is no more from now on: 0 for not at all, None for in a way not known here."""
    encoding = response.headers.get("content-encoding", "identity").lower()
    if encoding == "identity":
        return 0
    if (window := _WINDOWS.get(encoding)) is not None:
        del response.headers["content-encoding"]
    return window


def _unpacked(chunks: Iterator[bytes], window: int) -> Iterator[bytes]:
    unpacking = zlib.decompressobj(window) if window else None
    for chunk in chunks:
        yield chunk if unpacking is None else unpacking.decompress(chunk)
    if unpacking is not None:
        yield unpacking.flush()


@cache
def _mended(base: type) -> Any:
    class Mended(base):  # type: ignore[misc]
        def __init__(self, stream: Any, kind: str, window: int) -> None:
            self._stream, self._kind, self._window = stream, kind, window

        def __iter__(self) -> Iterator[bytes]:
            """The mended body, a piece at a time."""
            chunks = _unpacked(iter(self._stream), self._window)
            if self._kind == "events":
                yield from with_plain_usages(chunks)
            else:
                yield with_plain_usage(b"".join(chunks))

        def close(self) -> None:
            self._stream.close()

    return Mended


@cache
def _amended(base: type) -> Any:
    class Mended(base):  # type: ignore[misc]
        def __init__(self, stream: Any, kind: str, window: int) -> None:
            self._stream, self._kind, self._window = stream, kind, window

        async def __aiter__(self) -> AsyncIterator[bytes]:
            """The mended body, a piece at a time."""
            unpacking = zlib.decompressobj(self._window) if self._window else None
            lines, whole = EventLines(), bytearray()
            async for packed in self._stream:
                chunk = packed if unpacking is None else unpacking.decompress(packed)
                if self._kind == "events":
                    for line in lines.fed(chunk):
                        yield line
                else:
                    whole += chunk
            if self._kind == "events":
                for line in lines.rest():
                    yield line
            else:
                yield with_plain_usage(bytes(whole))

        async def aclose(self) -> None:
            await self._stream.aclose()

    return Mended
