"""What a client may ask of the server: how large, how many at once, for how long, and with which key."""

from __future__ import annotations

import asyncio
import hmac
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields
from typing import Any, NoReturn

from dspy_fusion.programs.errors import ConfigurationError

from .error_responses import ApiError

_LOCAL_NAMES = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class Limits:
    """What one request and all requests together may take.

    Attributes:
        body_bytes: of a request; more is answered with 413.
        running: how many requests are worked on at once.
        waiting: how many more may wait; beyond that they are answered with 429 and ``Retry-After``.
        seconds: from a request's arrival to the end of its answer; after that it is answered with 504.
        answers: how many answers, ``n``, one request may ask for.
        grace_seconds: how long a server that is told to stop goes on with the answers it has begun.
        connections: how many clients may be connected; beyond that the connection that has waited longest for a request
            is closed, and where there is none, the new one.
        header_seconds: how long a client may take from its connection to the end of a request's headers.
        body_seconds: how long it may take to send a request's body, or to take in what it is sent.
    """

    body_bytes: int = 4 * 2**20
    running: int = 32
    waiting: int = 64
    seconds: float = 600.0
    answers: int = 16
    grace_seconds: float = 30.0
    connections: int = 2048
    header_seconds: float = 10.0
    body_seconds: float = 60.0

    def __post_init__(self) -> None:
        """Refuses limits that would let nothing through."""
        for item in fields(self):
            value, low = getattr(self, item.name), 0 if item.name in ("waiting", "grace_seconds") else 1
            seconds = item.name.endswith("seconds")
            if (
                isinstance(value, bool)
                or not isinstance(value, int | float if seconds else int)
                or not (value >= low or 0 < value < 1)
            ):
                kind = "a number" if seconds else "a whole number"
                raise ConfigurationError(
                    f"the limit {item.name} must be {kind} from {low}, but got {item.name}={value!r}"
                )


class WorkEnds:
    """When work on requests ends: each at its time limit, and all of it when the server stops."""

    def __init__(self) -> None:
        self._open: set[asyncio.Timeout] = set()
        self._is_stopped = False

    @asynccontextmanager
    async def until(self, end: float) -> AsyncIterator[None]:
        """Work that ends by a time of the event loop's clock at the latest.

        Raises:
            ApiError: the server stopped.
            TimeoutError: the time was over.
        """
        try:
            async with asyncio.timeout_at(0 if self._is_stopped else end) as limit:
                self._open.add(limit)
                try:
                    yield
                finally:
                    self._open.discard(limit)
        except TimeoutError:
            if self._is_stopped:
                raise ApiError(503, "this server is stopping", code="server_stopping") from None
            raise

    def stop(self) -> None:
        """Ends all work that is under way, and whatever begins from now on."""
        self._is_stopped, now = True, asyncio.get_running_loop().time()
        for limit in list(self._open):
            if not limit.expired():
                limit.reschedule(now)


class Gate:
    """Lets ``running`` requests through at once and ``waiting`` more wait for their turn."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._places = asyncio.Semaphore(limits.running)
        self.running = self.waiting = 0

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Holds a place for the block.

        Raises:
            ApiError: too many wait already.
        """
        if self._places.locked() and self.waiting >= self._limits.waiting:
            message = f"{self.running} requests are being answered and {self.waiting} wait; try again later"
            raise ApiError(429, message, code="rate_limit_exceeded", headers={"Retry-After": "1"})
        self.waiting += 1
        try:
            await self._places.acquire()
        finally:
            self.waiting -= 1
        self.running += 1
        try:
            yield
        finally:
            self.running -= 1
            self._places.release()


def check_key(headers: Mapping[str, str], key: str) -> None:
    """Compares the bearer token with the server's key, in constant time.

    An empty key lets everyone in who is on this machine.

    Without a key, the request must be addressed to this machine by its own name: a web page that had its name resolve
    to it (DNS rebinding) would be addressed by the page's name.

    Raises:
        ApiError: the token is missing or wrong, or the address is not this machine's.
    """
    if key:
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not hmac.compare_digest(token.strip().encode(), key.encode()):
            raise ApiError(
                401, "the API key is missing or wrong; send it as 'Authorization: Bearer KEY'", code="invalid_api_key"
            )
        return
    host = headers.get("host", "")
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
    if name.strip("[]").lower() not in _LOCAL_NAMES:
        raise ApiError(
            403, f"this server answers to localhost only, but was addressed as {host!r:.80}", code="wrong_host"
        )


async def read_json(headers: Mapping[str, str], chunks: AsyncIterator[bytes], limits: Limits) -> Any:
    """The JSON of a request's body.

    Raises:
        ApiError: it is too large, too slow in coming, or no JSON.
    """
    if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        # A web page can send a form or plain text to this machine unasked, but not JSON.
        raise ApiError(415, "send the request as 'Content-Type: application/json'", code="unsupported_media_type")
    declared = headers.get("content-length", "0")
    if declared.isdigit() and int(declared) > limits.body_bytes:
        raise _too_large(limits)
    try:
        async with asyncio.timeout(min(limits.seconds, limits.body_seconds)):
            body = bytearray()
            async for chunk in chunks:
                body += chunk
                if len(body) > limits.body_bytes:
                    raise _too_large(limits)
    except TimeoutError:
        raise ApiError(408, "the request did not come to its end in time", code="request_timeout") from None
    try:
        return json.loads(body, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise ApiError(400, f"the body is no JSON: {str(error)[:120]}", code="invalid_json") from None


def _too_large(limits: Limits) -> ApiError:
    return ApiError(413, f"the request is larger than {limits.body_bytes} bytes", code="request_too_large")


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON number")
