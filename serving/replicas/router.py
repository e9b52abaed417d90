"""RoutedLM: one ``dspy.LM`` over several addresses of one model,
with a limit on calls at once and another model to fall back on.

The addresses are no part of its settings, so a cache and a bank take the answers of all of them for answers of the one
model. Retries are made here and nowhere below: at the next address at once, and, when no address answered, all of them
once more after the pause that DSPy would make.

Litellm's own ``Router`` is not used. What keeps a prompt's candidates together has to be registered with it
(``register_plugin``, 1.110.2) as a strategy, and such a strategy chooses in the place of all else: an address that
cools down is handed out again, and what limits and skips addresses would be ours as it is here. Its
``max_parallel_requests`` does not hold for threads, and in an event loop refuses a call instead of letting it wait; it
sleeps past any deadline; and it reaches litellm alone, not DSPy's native engine, which is the faster one.
"""

from __future__ import annotations

import asyncio
import copy
import json
import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import dspy
from dspy.clients import _deprecation
from dspy.utils.exceptions import LMError, is_retryable_lm_error

from dspy_fusion.programs.calls.metering import Meter
from dspy_fusion.programs.redaction import redacting

from .affinity import Affinity
from .endpoints import Endpoint
from .places import is_left_behind, wait_while_wanted

logger = redacting(logging.getLogger(__name__))
_LAID_OVER = (
    "temperature",
    "seed",
    "rollout_id",
    "logprobs",
    "timeout",
)  # what an attempt sets on a model, and so on its stand-in
_LONGEST_PAUSE_SECONDS = 60.0


class RoutedLM(dspy.LM):
    """A model that answers at one or more addresses.

    Args:
        model: a litellm model string.
        affinity: the addresses, and which prompt goes to which.
        fallback: another model, asked when no address answered after all retries, or all have been failing; its calls
            are counted as its own, and a bank does not keep what it answered.
        kwargs: as for ``dspy.LM``; ``num_retries`` is how many further rounds through the addresses are made.
    """

    def __init__(self, model: str, *, affinity: Affinity, fallback: dspy.LM | None = None, **kwargs: Any) -> None:
        super().__init__(model, **kwargs)
        self.affinity, self.fallback = affinity, fallback

    def __call__(self, prompt: Any = None, *, messages: Any = None, **kwargs: Any) -> Any:
        """As ``dspy.LM``; waits for a place, and goes on to the next address when one fails."""
        route = _Route(self, prompt, messages)
        while (endpoint := route.next()) is not None:
            place = endpoint.places.ask()
            try:
                wait_while_wanted(place)
                with self._called_at(endpoint, messages) as leaf:
                    answer = super(RoutedLM, leaf).__call__(prompt, messages=messages, **kwargs)
                endpoint.answered()
                return answer
            except LMError as error:
                pause = route.failed(endpoint, error)
            finally:
                endpoint.places.give_back(place)
            time.sleep(pause)
        fallback = route.stand_in()
        with self._passing_on(fallback, messages):
            return fallback(prompt, messages=messages, **kwargs)

    async def acall(self, prompt: Any = None, *, messages: Any = None, **kwargs: Any) -> Any:
        """As :meth:`__call__`, in the running event loop."""
        route = _Route(self, prompt, messages)
        while (endpoint := route.next()) is not None:
            place = endpoint.places.ask()
            try:
                await asyncio.wrap_future(place)
                with self._called_at(endpoint, messages) as leaf:
                    answer = await super(RoutedLM, leaf).acall(prompt, messages=messages, **kwargs)
                endpoint.answered()
                return answer
            except LMError as error:
                pause = route.failed(endpoint, error)
            finally:
                endpoint.places.give_back(place)
            await asyncio.sleep(pause)
        fallback = route.stand_in()
        with self._passing_on(fallback, messages):
            return await fallback.acall(prompt, messages=messages, **kwargs)

    def dump_state(self) -> dict[str, Any]:
        """As of a plain ``dspy.LM``, without addresses: those belong to the catalogue, not to a saved program."""
        return {**super().dump_state(), "_dspy_lm_class": "dspy.clients.lm.LM"}

    @contextmanager
    def _called_at(self, endpoint: Endpoint, messages: Any) -> Iterator[RoutedLM]:
        """This model at one address, tried once.

        What is streamed cannot be taken back, so there DSPy retries until the first token.
        """
        leaf = copy.copy(self)
        leaf.num_retries = self.num_retries if _is_streaming() else 0
        if endpoint.address and isinstance(self.engine, str):  # an engine of its own has the address already
            leaf.kwargs = {**self.kwargs, "api_base": endpoint.address}
        with self._passing_on(leaf, messages):
            yield leaf

    def _passing_on(self, other: dspy.LM, messages: Any) -> AbstractContextManager[None]:
        """DSPy warns of messages that are not an adapter's, and knows those by the model they are for,
        which is this one.
        """
        is_adapters = _deprecation._adapter_call.get() == (self, messages)
        return _deprecation.adapter_message_call(other, messages) if is_adapters else nullcontext()


class _Route:
    """The way of one request: which address is next, and what a failure means."""

    def __init__(self, lm: RoutedLM, prompt: Any, messages: Any) -> None:
        self.lm = lm
        self.text = (
            prompt if isinstance(prompt, str) else json.dumps(messages, default=str) if messages else repr(prompt)
        )
        self.left: Sequence[Endpoint] = lm.affinity.order(self.text)
        if lm.fallback is not None and all(endpoint.is_down for endpoint in self.left):
            self.left = ()
        self.rounds = 0

    def next(self) -> Endpoint | None:
        """The next address, or None for the fallback."""
        if not self.left:
            return None
        first, *self.left = self.left
        return first

    def failed(self, endpoint: Endpoint, error: LMError) -> float:
        """The pause in seconds before the next address; raises the error where there is none."""
        if not is_retryable_lm_error(error) or is_left_behind():
            raise error  # the latter says nothing of the address: its connection was ended from here
        endpoint.failed(error.retry_after)
        if _is_streaming():
            raise error
        if self.left:
            return 0.0
        if (
            self.rounds < self.lm.num_retries
        ):  # in a handler, where an attempt's own count looks at the error and at its deadline
            self.rounds += 1
            self.left = self.lm.affinity.order(self.text)
            return (
                error.retry_after
                if error.retry_after is not None
                else min(2.0 ** (self.rounds - 1), _LONGEST_PAUSE_SECONDS)
            )
        if self.lm.fallback is None:
            raise error
        logger.warning("%s does not answer (%s)", self.lm.model, error)
        return 0.0

    def stand_in(self) -> dspy.LM:
        """The fallback as this request's attempt would have it."""
        fallback = self.lm.fallback
        if fallback is None:
            raise LookupError(f"{self.lm.model} has no fallback")
        logger.warning("%s answers in the place of %s", fallback.model, self.lm.model)
        if isinstance(tracker := dspy.settings.usage_tracker, Meter):
            tracker.stood_in()
        copied = fallback.copy(
            **{name: self.lm.kwargs[name] for name in _LAID_OVER if name in self.lm.kwargs and _takes(fallback, name)}
        )
        copied.callbacks = [
            *copied.callbacks,
            *(callback for callback in self.lm.callbacks if callback not in copied.callbacks),
        ]
        copied.num_retries = self.lm.num_retries
        if (kept := vars(self.lm).get("update_history")) is not None:
            copied.update_history = kept
        return copied


def _takes(lm: dspy.LM, name: str) -> bool:
    return name != "timeout" or isinstance(lm.engine, str)


def _is_streaming() -> bool:
    return dspy.settings.send_stream is not None
