"""A stream of server-sent events, from the models that write it to the client that reads it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.responses import Response

from .answers import Answer, Piece, Writer
from .error_responses import as_api_error

_HEADERS = {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache", "x-accel-buffering": "no"}


class Events:
    """What is to be sent, in order; an answer's beginning comes before its first piece."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._items: asyncio.Queue[bytes | Exception | None] = asyncio.Queue()
        self._begun: set[int] = set()

    def tell(self, index: int, piece: Piece) -> None:
        """Adds a piece of answer ``index``."""
        self._begin(index)
        self._items.put_nowait(self._writer.piece(index, piece))

    def finish(self, answers: Sequence[Answer]) -> None:
        """Adds the ends of all answers and of the stream."""
        for index in range(len(answers)):
            self._begin(index)
        self._items.put_nowait(self._writer.end(answers))
        self.end()

    def fail(self, error: Exception) -> None:
        """Adds an error, which ends the stream."""
        self._items.put_nowait(error)

    def end(self) -> None:
        """Ends the stream as it is."""
        self._items.put_nowait(None)

    async def first(self) -> bytes:
        """The first event; raises the error where that comes first."""
        item = await self._items.get()
        if isinstance(item, Exception):
            raise item
        return item or b""

    async def next(self) -> bytes | None:
        """The next event, or None at the end; an error is an event of its own."""
        item = await self._items.get()
        if isinstance(item, Exception):
            self.end()
            return self._writer.error(as_api_error(item))
        return item

    def _begin(self, index: int) -> None:
        if index not in self._begun:
            self._begun.add(index)
            if begun := self._writer.begin(index):
                self._items.put_nowait(begun)


class EventStream(Response):
    """A response that sends events as they come, and ends the work on them when the client leaves.

    Args:
        first: the first event.
        events: the others.
        work: what makes them.
        headers: further ones of the response.
    """

    def __init__(self, first: bytes, events: Events, work: asyncio.Future[Any], headers: Mapping[str, str]) -> None:
        super().__init__()
        self._head = [(name.encode(), value.encode()) for name, value in {**_HEADERS, **headers}.items()]
        self._first, self._events, self._work = first, events, work

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Sends the response."""
        left = asyncio.ensure_future(receive())  # the request has been read, so all that can come is the end
        left.add_done_callback(lambda _: self._events.end())
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self._head})
            item: bytes | None = self._first
            while item is not None:
                await send({"type": "http.response.body", "body": item, "more_body": True})
                item = await self._events.next()
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            await ended(self._work, left)


async def ended(*tasks: asyncio.Future[Any]) -> None:
    """Cancels what is not done and waits for its end."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
