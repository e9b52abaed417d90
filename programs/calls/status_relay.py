"""Streaming: whose tokens DSPy listens to, and status messages out of the threads in which candidates are drawn.

DSPy sends them from the thread that has something to say, which works in the one thread that its event loop knows. So
an attempt's messages go to whoever waits for the attempts, and from there on: to DSPy's stream, or where that is an
attempt itself, to whoever waits for it.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import dspy
from dspy.streaming import StatusMessage, StatusMessageProvider
from dspy.streaming.messages import StatusStreamingCallback, sync_send_to_stream
from dspy.streaming.streaming_listener import find_predictor_for_stream_listeners

logger = logging.getLogger(__name__)
Tell = Callable[[StatusMessage], None]


class RelayedStatus(StatusStreamingCallback):
    """DSPy's callback for status messages, which tells them instead of sending them itself."""

    def __init__(self, provider: StatusMessageProvider, tell: Tell) -> None:
        super().__init__(provider)
        self.tell = tell

    def _say(self, message: str | None) -> None:
        if message:
            self.tell(StatusMessage(message))

    def on_tool_start(self, call_id: str, instance: Any, inputs: dict[str, Any]) -> None:
        if instance.name != "finish":
            self._say(self.status_message_provider.tool_start_status_message(instance, inputs))

    def on_tool_end(self, call_id: str, outputs: Any, exception: BaseException | None = None) -> None:
        if outputs != "Completed.":
            self._say(self.status_message_provider.tool_end_status_message(outputs))

    def on_lm_start(self, call_id: str, instance: Any, inputs: dict[str, Any]) -> None:
        self._say(self.status_message_provider.lm_start_status_message(instance, inputs))

    def on_lm_end(self, call_id: str, outputs: Any, exception: BaseException | None = None) -> None:
        self._say(self.status_message_provider.lm_end_status_message(outputs))

    def on_module_start(self, call_id: str, instance: Any, inputs: dict[str, Any]) -> None:
        self._say(self.status_message_provider.module_start_status_message(instance, inputs))

    def on_module_end(self, call_id: str, outputs: Any, exception: BaseException | None = None) -> None:
        self._say(self.status_message_provider.module_end_status_message(outputs))


def teller() -> Tell | None:
    """The way that status messages take from here, or None where nobody listens."""
    callbacks = dspy.settings.callbacks or []
    relayed = next((callback for callback in callbacks if isinstance(callback, RelayedStatus)), None)
    if relayed is not None:
        return relayed.tell
    stream = dspy.settings.send_stream
    if stream is None or not any(type(callback) is StatusStreamingCallback for callback in callbacks):
        return None
    return lambda message: _send(stream, message)


def telling(tell: Tell | None) -> AbstractContextManager[Any]:
    """Lets status messages take another way while the context lasts; None leaves everything as it is."""
    if tell is None:
        return nullcontext()
    return dspy.context(callbacks=[_relayed(callback, tell) for callback in dspy.settings.callbacks or []])


def seen_by_listeners(predictors: list[tuple[str, Any]], writer: str) -> list[tuple[str, Any]]:
    """The predictors of a part of a program where it is DSPy's stream listeners that ask for a program's, else all.

    DSPy refuses to listen to a field that several predictors write, and has no other place in which to say whose tokens
    are streamed.
    """
    if sys._getframe(2).f_code is not find_predictor_for_stream_listeners.__code__:
        return predictors
    writers = [(name, part) for name, part in predictors if name.partition(".")[0] == writer]
    is_open = all(not set(part.signature.output_fields) - {"comparison"} for _, part in writers)
    return predictors if is_open else writers


class AwaitedRelay:
    """Takes messages from the tasks and threads of a batch, and sends them on from the event loop.

    Args:
        tell: the way on, where another attempt is around this batch; else DSPy's stream is awaited.
    """

    def __init__(self, tell: Tell) -> None:
        self._tell, self._stream = tell, dspy.settings.send_stream
        self._loop, self._thread = asyncio.get_running_loop(), threading.get_ident()
        self._queue: asyncio.Queue[StatusMessage | None] = asyncio.Queue()
        self._task = asyncio.create_task(self._forward())

    def put(self, message: StatusMessage | None) -> None:
        """Takes a message, in any thread."""
        if threading.get_ident() == self._thread:
            self._queue.put_nowait(message)
        else:
            self._loop.call_soon_threadsafe(self._queue.put_nowait, message)

    def give_up(self) -> None:
        """Sends nothing more: who was to take it may have gone, and would be waited for without end."""
        self._task.cancel()

    async def close(self) -> None:
        """Waits until what was taken is sent, or given up."""
        self._queue.put_nowait(None)
        try:
            await asyncio.wait([self._task])
        except asyncio.CancelledError:
            self.give_up()
            raise
        if not self._task.cancelled():
            self._task.result()

    async def _forward(self) -> None:
        while (message := await self._queue.get()) is not None:
            if self._stream is None:
                self._tell(message)
                continue
            try:
                await self._stream.send(message)
            except Exception as error:  # noqa: BLE001 (a message that nobody takes costs no answer)
                logger.debug("a status message was not taken: %s", error)


def _relayed(callback: Any, tell: Tell) -> Any:
    if type(callback) is StatusStreamingCallback or isinstance(callback, RelayedStatus):
        return RelayedStatus(callback.status_message_provider, tell)
    return callback


def _send(stream: Any, message: StatusMessage) -> None:
    try:
        sync_send_to_stream(stream, message)
    except Exception as error:  # noqa: BLE001 (a message that nobody takes costs no answer)
        logger.debug("a status message was not taken: %s", error)
