"""Calling modules that can only be awaited, from code that does not await."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Mapping
from contextvars import copy_context
from typing import Any

import dspy


def answer_of(module: dspy.Module, arguments: Mapping[str, Any]) -> Any:
    """What a module answers; one that has ``aforward`` and no ``forward`` is awaited here, whether or not an event loop
    runs in this thread.
    """
    if hasattr(type(module), "forward") or "forward" in vars(module) or not hasattr(module, "aforward"):
        return module(**arguments)  # looked for on its class, since DSPy warns of whoever looks on the module
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(_awaited(module, arguments))
    return _in_a_thread(lambda: asyncio.run(_awaited(module, arguments)))


def _awaited(module: dspy.Module, arguments: Mapping[str, Any]) -> Coroutine[Any, Any, Any]:
    return module.acall(**arguments)


def _in_a_thread(work: Callable[[], Any]) -> Any:
    """What ``work`` gives in a thread of its own, under this one's settings: a thread has one event loop at most."""
    outcome: dict[str, Any] = {}

    def run() -> None:
        try:
            outcome["value"] = work()
        except BaseException as error:  # noqa: BLE001 (raised by who asked)
            outcome["error"] = error

    thread = threading.Thread(target=copy_context().run, args=(run,), daemon=True)
    thread.start()
    thread.join()
    if "error" in outcome:
        raise outcome["error"]
    return outcome["value"]
