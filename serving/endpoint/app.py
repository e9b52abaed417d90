"""The endpoint: models and programs as an ASGI application with OpenAI's routes.

Everything runs in the server's one event loop, so a client that goes away and a time limit end the calls that are under
way.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, TypeVar

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from dspy_fusion.programs.errors import ConfigurationError
from dspy_fusion.programs.redaction import redacting

from .answers import Answer, Piece, Served, Writer, encoded
from .chat import ChatBody, model_name, read_chat
from .chat_writer import ChatWriter
from .error_responses import ApiError, as_api_error, bad_request
from .events import Events, EventStream, ended
from .request_limits import Gate, Limits, WorkEnds, check_key, read_json
from .responses_request import chat_of
from .responses_writer import ResponsesWriter
from .text_completions import CompletionWriter, chats_of

logger = redacting(logging.getLogger(__name__))

T = TypeVar("T")
_CLIENT_LEFT = 499  # as nginx logs it; nobody reads it
_THREADS = 64  # for what has no asynchronous form; asyncio's own default would be 6 on a machine of 2 cores


def create_app(models: Sequence[Served], *, limits: Limits | None = None, key: str = "") -> FastAPI:
    """An application that serves these models.

    Args:
        models: what is served, by distinct names.
        limits: what requests may take; None for the defaults.
        key: the bearer token that clients must send; empty for a server that only this machine reaches.

    Raises:
        ConfigurationError: there is no model, or two have one name.
    """
    names = [model.name for model in models]
    if not names:
        raise ConfigurationError(
            "there is nothing to serve; give a program's file, or --models with names of embedded or local models"
        )
    if double := next((name for name in names if names.count(name) > 1), None):
        raise ConfigurationError(f"two models are called {double!r}; give one of them another --name")
    endpoint = _Endpoint({model.name: model for model in models}, limits or Limits(), key)
    app = FastAPI(title="dspy-fusion", docs_url=None, redoc_url=None, openapi_url=None, lifespan=_lifespan)
    app.add_route("/health", endpoint.health, ["GET"])
    app.add_route("/v1/models", endpoint.list_models, ["GET"])
    app.add_route("/v1/models/{name:path}", endpoint.show_model, ["GET"])
    app.add_route("/v1/chat/completions", endpoint.chat, ["POST"])
    app.add_route("/v1/completions", endpoint.completions, ["POST"])
    app.add_route("/v1/responses", endpoint.responses, ["POST"])
    app.state.stop = endpoint.stop
    app.add_exception_handler(ApiError, _said)
    app.add_exception_handler(HTTPException, _said)
    app.add_exception_handler(Exception, _said)
    return app


class _Endpoint:
    def __init__(self, models: dict[str, Served], limits: Limits, key: str) -> None:
        self._models, self._limits, self._key = models, limits, key
        self._gate, self._ends = Gate(limits), WorkEnds()
        self._since = int(time.time())

    async def health(self, request: Request) -> Response:
        return _json({"status": "ok", "running": self._gate.running, "waiting": self._gate.waiting})

    async def list_models(self, request: Request) -> Response:
        check_key(request.headers, self._key)
        return _json({"object": "list", "data": [self._card(name) for name in self._models]})

    async def show_model(self, request: Request) -> Response:
        check_key(request.headers, self._key)
        return _json(self._card(self._model(request.path_params["name"]).name))

    async def chat(self, request: Request) -> Response:
        def writer(model: str, chat: ChatBody) -> Writer:
            return ChatWriter(f"chatcmpl-{uuid.uuid4().hex}", int(time.time()), model, chat.include_usage)

        return await self._answered(request, lambda body: [dict(body)], writer)

    async def completions(self, request: Request) -> Response:
        def writer(model: str, chat: ChatBody) -> Writer:
            return CompletionWriter(f"cmpl-{uuid.uuid4().hex}", int(time.time()), model, chat.include_usage)

        return await self._answered(request, chats_of, writer)

    async def responses(self, request: Request) -> Response:
        def writer(model: str, chat: ChatBody) -> Writer:
            return ResponsesWriter(f"resp_{uuid.uuid4().hex}", int(time.time()), model, chat)

        return await self._answered(request, lambda body: [chat_of(body)], writer)

    def stop(self) -> None:
        """Ends what is under way; its clients are told with a 503."""
        self._ends.stop()

    async def _answered(
        self,
        request: Request,
        translated: Callable[[Mapping[str, Any]], list[dict[str, Any]]],
        writer: Callable[[str, ChatBody], Writer],
    ) -> Response:
        end = asyncio.get_running_loop().time() + self._limits.seconds
        try:
            check_key(request.headers, self._key)
            async with self._ends.until(end):
                body = await read_json(request.headers, request.stream(), self._limits)
            model = self._model(model_name(body))
            chats = self._read(model, translated(body))
            answer = self._streamed if chats[0].stream else self._whole
            return await _unless_client_leaves(request, answer(writer(model.name, chats[0]), model, chats, end))
        except ClientDisconnect:
            return Response(status_code=_CLIENT_LEFT)
        except Exception as error:  # noqa: BLE001 (whatever happens, the client is told in the protocol's own way)
            return _error(as_api_error(error))

    def _read(self, model: Served, bodies: list[dict[str, Any]]) -> list[ChatBody]:
        """The chats that a request amounts to, of which each may have several answers."""
        most = self._limits.answers
        if len(bodies) > most:
            raise bad_request(f"prompt must hold at most {most} texts, but got {len(bodies)}", "prompt")
        max_n = most // len(bodies)
        chats = [
            read_chat(body, honours=model.honours, takes_inputs=model.takes_inputs, max_n=max_n) for body in bodies
        ]
        for chat in chats:
            model.check(chat)
        return chats

    async def _whole(self, writer: Writer, model: Served, chats: Sequence[ChatBody], end: float) -> Response:
        async with self._ends.until(end), self._gate.place():
            return _json(writer.whole(await _all(model, chats)), writer.headers)

    async def _streamed(self, writer: Writer, model: Served, chats: Sequence[ChatBody], end: float) -> EventStream:
        """A stream that has begun. What fails before the first piece is an HTTP error, what fails later an event."""
        events = Events(writer)

        async def work() -> None:
            """Runs the program and tells the stream how it ended."""
            try:
                async with self._ends.until(end), self._gate.place():
                    events.finish(await _all(model, chats, events.tell))
            except Exception as error:  # noqa: BLE001 (handed to the client)
                events.fail(error)

        working = asyncio.ensure_future(work())
        try:
            return EventStream(await events.first(), events, working, writer.headers)
        except BaseException:
            await ended(working)
            raise

    def _model(self, name: str) -> Served:
        if name not in self._models:
            known = ", ".join(self._models)
            raise ApiError(
                404, f"there is no model {name!r:.80} here; there are: {known}", code="model_not_found", param="model"
            )
        return self._models[name]

    def _card(self, name: str) -> dict[str, Any]:
        return {"id": name, "object": "model", "created": self._since, "owned_by": "dspy-fusion"}


async def _all(
    model: Served, chats: Sequence[ChatBody], tell: Callable[[int, Piece], None] | None = None
) -> list[Answer]:
    """All answers to a request, side by side; the first that fails ends the others."""
    wanted = [(chat, index) for chat in chats for index in range(chat.n)]

    async def one(place: int, chat: ChatBody, index: int) -> Answer:
        return await model.answer(chat, index, partial(tell, place) if tell else None)

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(place, *pair)) for place, pair in enumerate(wanted)]
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]


async def _unless_client_leaves(request: Request, work: Coroutine[Any, Any, T]) -> T | Response:
    """The response, or the end of the work on it when the connection closes."""
    working = asyncio.ensure_future(work)
    left = asyncio.ensure_future(request.receive())  # the body has been read, so all that can come is the end
    try:
        await asyncio.wait({working, left}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            logger.info("a client left before its answer was finished")
            return Response(status_code=_CLIENT_LEFT)
        return working.result()
    finally:
        await ended(working, left)


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="dspy-fusion-endpoint")
    asyncio.get_running_loop().set_default_executor(threads)
    try:
        yield
    finally:
        threads.shutdown(wait=False, cancel_futures=True)  # what a hanging call holds does not hold up the end


async def _said(request: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException):
        return _error(
            ApiError(
                error.status_code, f"{request.method} {request.url.path:.80}: {error.detail}", headers=error.headers
            )
        )
    return _error(as_api_error(error))


def _error(error: ApiError) -> Response:
    return Response(encoded(error.body), error.status, {**error.headers, "Content-Type": "application/json"})


def _json(body: dict[str, Any], headers: Mapping[str, str] | None = None) -> Response:
    return Response(encoded(body), headers=headers, media_type="application/json")
