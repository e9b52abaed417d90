"""TogetherLM: a model whose candidates of one question are drawn in one request with ``n``,
each for itself all the same.

To everything above it is a ``dspy.LM`` that is called once a candidate, so each completion is parsed, kept in a bank
and counted by itself, and a bank that holds some candidates has only the others drawn. Below, calls made at one time
that differ in nothing but their seed become one request. Its prompt is billed once, to the first of them; the
completion tokens that the server reports are split by length of text. What is lost is seeds: the request has that of
the first call, and which completion belongs to which candidate is the server's choice. A ``max_concurrency`` counts
candidates, so no more of them than that are in one request.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any, Self

import dspy
from dspy.clients._litellm import get_litellm
from dspy.clients.engines.litellm_engine import AsyncLiteLLMEngine, LiteLLMEngine
from dspy.clients.engines.litellm_errors import litellm_errors
from dspy.lm15 import Request, Response

from .affinity import affinity_of
from .gathered_requests import Gathering, Group
from .places import wait_while_wanted
from .router import RoutedLM


def split(raw: Any) -> list[Any]:
    """Splits a response of litellm's.

    The first has the prompt's tokens; the completion tokens, which servers report as one number, are split by length of
    text.
    """
    if len(raw.choices) < 2:
        return [raw]
    from litellm import Usage

    usage = getattr(raw, "usage", None)
    parts = [raw.model_copy(update={"choices": [choice.model_copy(update={"index": 0})]}) for choice in raw.choices]
    if usage is not None:
        completion = shares(usage.completion_tokens or 0, [len(choice.message.content or "") for choice in raw.choices])
        for place, (part, tokens) in enumerate(zip(parts, completion, strict=True)):
            prompt = 0 if place else usage.prompt_tokens or 0
            part.usage = Usage(prompt_tokens=prompt, completion_tokens=tokens, total_tokens=prompt + tokens)
    return parts


def shares(total: int, weights: Sequence[int]) -> list[int]:
    """A whole number in parts by weight, which add up to it; equal weights where all are 0."""
    weights = weights if any(weights) else [1] * len(weights)
    ends = [total * sum(weights[: place + 1]) // sum(weights) for place in range(len(weights))]
    return [end - begin for begin, end in zip([0, *ends], ends, strict=False)]


CANNOT_SEND = ("min_p", "repetition_penalty", "extra_body")
"""Sampling options that DSPy's typed requests do not carry, and so neither does this."""


class TogetherLM(RoutedLM):
    """A model at one address, through litellm.

    Args:
        model: a litellm model string.
        connection: ``api_base``, ``api_key`` and ``timeout``, where they are set.
        max_concurrency: how many candidates are drawn there at once; None for any number.
        fallback: another model, asked when this one does not answer.
        kwargs: as for ``dspy.LM``.
    """

    def __init__(
        self,
        model: str,
        *,
        connection: dict[str, Any],
        max_concurrency: int | None = None,
        fallback: dspy.LM | None = None,
        **kwargs: Any,
    ) -> None:
        gathering = Gathering(max_concurrency)
        engines = {
            "engine": TogetherEngine(gathering, connection),
            "async_engine": AsyncTogetherEngine(gathering, connection),
        }
        affinity = affinity_of((connection.get("api_base") or model,), max_concurrency)
        super().__init__(model, affinity=affinity, fallback=fallback, **engines, **kwargs)

    def dump_state(self) -> dict[str, Any]:
        """As of a plain ``dspy.LM`` through litellm, without its address.

        That belongs to the catalogue, not to a saved program.
        """
        kwargs = {key: value for key, value in self.kwargs.items() if key != "rollout_id"}
        return dspy.LM(
            self.model, engine="litellm", cache=self.cache, num_retries=int(self.num_retries), **kwargs
        ).dump_state()


class _Shared:
    """What both engines have in common; copies of an LM share them, for they gather in one place."""

    complete_legacy = None  # so that DSPy hands over typed requests, one a completion

    def __init__(self, gathering: Gathering, connection: dict[str, Any]) -> None:
        super().__init__(**connection)
        self._gathering, self._connection = gathering, connection

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def bank_identity(self) -> list[str]:
        """Nothing: what is gathered, and where it is sent, is no part of what the model answers."""
        return []

    def __reduce__(self) -> tuple[type[Self], tuple[Gathering, dict[str, Any]]]:
        return type(self), (self._gathering, self._connection)

    def _in_time(self, data: dict[str, Any]) -> dict[str, Any]:
        """The request with a time limit that is not later than the end of the attempt that makes it."""
        end = getattr(dspy.settings.usage_tracker, "end", None)
        limits = [
            known
            for known in (data.get("timeout"), None if end is None else max(0.01, end - time.monotonic()))
            if known is not None
        ]
        return {**data, "timeout": min(limits)} if limits else data


class TogetherEngine(_Shared, LiteLLMEngine):
    """The synchronous engine."""

    def complete(self, request: Request) -> Response:
        """Answers one request, alone or with others."""
        data = self._arguments(request)
        return self._response(self._send(data) if _is_greedy(data) else self._drawn(data, _key(data)), request)

    def _drawn(self, data: dict[str, Any], key: str) -> Any:
        group = self._gathering.join(key)
        if isinstance(group, Future):
            return wait_while_wanted(group) or self._send(data)
        try:
            for pause in group.pauses():
                time.sleep(pause)
            self._gathering.close(key, group)
            return _handed_out(group, self._send({**data, "n": 1 + len(group.others)}))
        except BaseException as error:
            self._gathering.close(key, group)
            group.fail(error)
            raise

    def _send(self, data: dict[str, Any]) -> Any:
        litellm = get_litellm(feature="one request for several candidates")
        with litellm_errors(model=data["model"]):
            return litellm.completion(**self._in_time(data))


class AsyncTogetherEngine(_Shared, AsyncLiteLLMEngine):
    """The asynchronous engine."""

    async def complete(self, request: Request) -> Response:
        """As :meth:`TogetherEngine.complete`, in the running event loop."""
        data = self._arguments(request)
        return self._response(await (self._send(data) if _is_greedy(data) else self._drawn(data, _key(data))), request)

    async def _drawn(self, data: dict[str, Any], key: str) -> Any:
        group = self._gathering.join(key)
        if isinstance(group, Future):
            return await asyncio.wrap_future(group) or await self._send(data)
        try:
            for pause in group.pauses():
                await asyncio.sleep(pause)
            self._gathering.close(key, group)
            return _handed_out(group, await self._send({**data, "n": 1 + len(group.others)}))
        except BaseException as error:
            self._gathering.close(key, group)
            group.fail(error)
            raise

    async def _send(self, data: dict[str, Any]) -> Any:
        litellm = get_litellm(feature="one request for several candidates")
        with litellm_errors(model=data["model"]):
            return await litellm.acompletion(**self._in_time(data))


def _is_greedy(data: dict[str, Any]) -> bool:
    return data.get("temperature") == 0


def _key(data: dict[str, Any]) -> str:
    return json.dumps(
        {name: value for name, value in data.items() if name not in ("seed", "timeout")}, sort_keys=True, default=str
    )


def _handed_out(group: Group, raw: Any) -> Any:
    """The leader's completion; the others are given theirs."""
    first, *rest = split(raw)
    group.hand_out(rest)
    return first
