"""Whether a model's servers answer, and how long their queues are, by what vLLM,
SGLang and llama.cpp publish about themselves.
"""

from __future__ import annotations

import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from .model_entry import ModelEntry

_RUNNING = ("vllm:num_requests_running", "sglang:num_running_reqs", "llamacpp:requests_processing")
_WAITING = ("vllm:num_requests_waiting", "sglang:num_queue_reqs", "llamacpp:requests_deferred")


@dataclass(frozen=True)
class Health:
    """What a server says of itself.

    Attributes:
        address: its base URL.
        problem: why it takes no requests, or an empty string.
        seconds: how long it took to say so.
        running: requests it works on, or None where it does not publish that (llama.cpp: ``--metrics``).
        waiting: requests in its queue, or None.
    """

    address: str
    problem: str = ""
    seconds: float = 0.0
    running: int | None = None
    waiting: int | None = None


def health(entry: ModelEntry, key: str = "", *, timeout: float = 5.0) -> list[Health]:
    """Asks all addresses of a model at once; an empty list for one without address."""
    if not entry.where:
        return []
    with ThreadPoolExecutor(len(entry.where)) as threads:
        return list(threads.map(lambda address: _ask(address, key, timeout), entry.where))


def _ask(address: str, key: str, timeout: float) -> Health:
    started, root = time.monotonic(), re.sub("/v1/?$", "", address)
    problem = _problem(f"{address.rstrip('/')}/models", key, timeout, json.loads)
    if problem and not (
        problem[0].isdigit() and not _problem(f"{root}/health", key, timeout)
    ):  # some cannot list their models
        return Health(address, problem, time.monotonic() - started)
    seconds = time.monotonic() - started
    try:
        published = _get(f"{root}/metrics", key, timeout)
    except (OSError, ValueError):
        published = ""
    return Health(address, "", seconds, _sum(published, _RUNNING), _sum(published, _WAITING))


def _problem(url: str, key: str, timeout: float, read: Callable[[str], object] = str) -> str:
    try:
        read(_get(url, key, timeout))
    except json.JSONDecodeError as error:
        return f"something else answers there: {' '.join(error.doc.split())[:60]!r}"
    except (OSError, ValueError) as error:
        code = f"{error.code} " if isinstance(error, urllib.error.HTTPError) else ""
        return f"{code}{getattr(error, 'reason', None) or error}"
    return ""


def _get(url: str, key: str, timeout: float) -> str:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {key}"} if key else {})
    with urllib.request.urlopen(request, timeout=timeout) as response:
        return response.read(2**22).decode("utf-8", "replace")


def _sum(published: str, names: tuple[str, ...]) -> int | None:
    """The sum of a gauge over its labels; Prometheus writes ``name{labels} value``."""
    values = [
        float(match[2])
        for match in re.finditer(r"^([a-z_:]+)(?:\{.*\})? ([0-9.e+]+)", published, re.MULTILINE)
        if match[1] in names
    ]
    return int(sum(values)) if values else None
