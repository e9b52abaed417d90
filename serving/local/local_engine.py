"""Local models as engines of ``dspy.LM``, through litellm like every other server.

Calls made at one time whose seeds follow on one another and that differ in nothing else become one request with ``n``:
llama.cpp reads their prompt once, and gives completion i the seed ``seed + i``, so each candidate has the text that it
would have had alone. As the server then counts the tokens of one completion only, its tokenizer counts the others.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import asdict
from typing import Any, Self

import dspy
from dspy.clients._litellm import get_litellm
from dspy.clients.engines.litellm_engine import AsyncLiteLLMEngine, LiteLLMEngine
from dspy.clients.engines.litellm_errors import litellm_errors
from dspy.lm15 import Request, Response

from dspy_fusion.programs.redaction import redacting

from ..replicas.gathered_requests import Gathering, Group
from ..replicas.places import wait_while_wanted
from ..replicas.together import split
from ..shared_by_copies import SharedByCopies
from .llama_server import LlamaOptions, LlamaServer, shared_server

logger = redacting(logging.getLogger(__name__))


class _Shared(SharedByCopies):
    """What both engines have in common; copies of an LM share them."""

    complete_legacy = None  # so that DSPy hands over typed requests, one a completion
    supports_response_schema = True
    supports_function_calling = True
    supports_reasoning = False

    def __init__(self, server: LlamaServer, gathering: Gathering) -> None:
        settings: dict[str, Any] = {"wire_model": "openai/local", "api_key": "none"}
        super().__init__(**settings)
        self.server, self.gathering = server, gathering

    def dump_state(self) -> dict[str, Any]:
        """What it takes to have the same model again: the file's path and how it is run."""
        return asdict(self.server.options)

    @classmethod
    def load_state(cls, state: dict[str, Any]) -> Self:
        """An engine over the same file, on this machine."""
        lora = tuple((path, scale) for path, scale in state.pop("lora", ()))
        return cls(shared_server(LlamaOptions(**state, lora=lora)), Gathering())

    def bank_identity(self) -> list[Any]:
        """What its texts depend on beside the files, whose hashes are in the model's name.

        Not where it runs, so a bank is good for the same file elsewhere.
        """
        return [self.server.options.chat_template, [scale for _, scale in self.server.options.lora]]

    def _arguments(self, request: Request, *, streaming: bool = False) -> dict[str, Any]:
        data = super()._arguments(request, streaming=streaming)  # type: ignore[misc]
        return self._request(data) if streaming else data

    def _request(self, data: dict[str, Any]) -> dict[str, Any]:
        """The request with the server's address and a time limit no later than the end of its attempt."""
        end = getattr(dspy.settings.usage_tracker, "end", None)
        limits = [data.get("timeout"), None if end is None else max(0.01, end - time.monotonic())]
        known = [limit for limit in limits if limit is not None]
        limit = {"timeout": min(known)} if known else {}
        return {**data, "api_base": f"{self.server.address()}/v1", **limit}

    def _again(self, tries: int, error: Exception) -> bool:
        """Whether a failed request is made again: once, where the server died under it."""
        if tries or self.server.is_alive:
            return False
        logger.warning("the server of %s died and is started again (%s)", self.server.options.model, error)
        return True


class LocalEngine(_Shared, LiteLLMEngine):
    """The synchronous engine. Any number of threads may call it."""

    def complete(self, request: Request) -> Response:
        """Answers one request, alone or with others."""
        data = self._arguments(request)
        return self._response(self._send(data) if _is_alone(data) else self._together(data), request)

    def _together(self, data: dict[str, Any]) -> Any:
        key = _key(data)
        group = self.gathering.join(key, data["seed"])
        if isinstance(group, Future):
            return wait_while_wanted(group) or self._send(data)
        try:
            for pause in group.pauses():
                time.sleep(pause)
            self.gathering.close(key, group)
            first, others = _row_of_seeds(data["seed"], group.tags)
            parts = self._send({**data, "seed": first, "n": 1 + len(others)}, parted=True)
            return _handed_out(group, parts, data["seed"] - first, first)
        except BaseException as error:
            self.gathering.close(key, group)
            group.fail(error)
            raise

    def _send(self, data: dict[str, Any], *, parted: bool = False) -> Any:
        litellm = get_litellm(feature="local models")
        tries = 0
        while True:
            try:
                with litellm_errors(model=data["model"]):
                    raw = litellm.completion(**self._request(data))
            except dspy.LMError as error:
                if not self._again(tries, error):
                    raise
                tries += 1
            else:
                self.server.answered()
                return self._parts(raw) if parted else raw

    def _parts(self, raw: Any) -> list[Any]:
        if len(raw.choices) > 1 and raw.usage is not None:
            raw.usage.completion_tokens = sum(
                self.server.count_tokens(choice.message.content or "") + (choice.finish_reason == "stop")
                for choice in raw.choices
            )
        return split(raw)


class AsyncLocalEngine(_Shared, AsyncLiteLLMEngine):
    """The asynchronous engine; requests go one by one through a thread of the synchronous one."""

    async def complete(self, request: Request) -> Response:
        """As :meth:`LocalEngine.complete`, in the running event loop."""
        return await asyncio.to_thread(LocalEngine(self.server, self.gathering).complete, request)


def _is_alone(data: dict[str, Any]) -> bool:
    return data.get("temperature") == 0 or not isinstance(data.get("seed"), int)


def _key(data: dict[str, Any]) -> str:
    rest = {name: value for name, value in data.items() if name not in ("seed", "timeout")}
    return json.dumps(rest, sort_keys=True, default=str)


def _row_of_seeds(own: int, others: Sequence[int]) -> tuple[int, list[int]]:
    """The lowest of the seeds that lie next to one another around ``own``, and those but ``own``."""
    seeds, first, last = {own, *others}, own, own
    while first - 1 in seeds:
        first -= 1
    while last + 1 in seeds:
        last += 1
    return first, [seed for seed in range(first, last + 1) if seed != own]


def _handed_out(group: Group, parts: Sequence[Any], own: int, first: int) -> Any:
    """The leader's completion; each of the others gets the one of its seed, and a second one of a seed asks itself."""
    rest = {place: part for place, part in enumerate(parts) if place != own}
    group.hand_out([rest.pop(tag - first, None) for tag in group.tags])
    return parts[own]
