"""A loopback server with the capacity of a real one.

So many answers at a time, each taking so long, in a process of its own.

It speaks OpenAI's chat protocol. An answer follows from the last message alone, and is different English for different
ones. It counts what it answered: ``GET /count``.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import subprocess
import sys
import time
import urllib.request
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from aiohttp import web

_WORDS = (
    "the river bends around an old mill where children used to fish for trout and carp before winter came early that"
    " year while their parents repaired nets sold bread mended roofs or walked together across fields toward town with"
    " baskets full of apples pears wool"
).split()
_LENGTH = 60  # words an answer


@dataclass(frozen=True)
class Count:
    """What a server has answered: how many requests, and the seconds from the first request to the last answer."""

    requests: int
    seconds: float


@dataclass(frozen=True)
class InferenceServer:
    """A running server."""

    address: str
    """Base URL, ``http://127.0.0.1:PORT/v1``."""

    def count(self, *, reset: bool = False) -> Count:
        """What was answered since the server began, or since the last reset."""
        with urllib.request.urlopen(f"{self.address}/count?reset={int(reset)}", timeout=60) as response:
            return Count(**json.load(response))


@contextmanager
def inference_server(slots: int, delay_seconds: float) -> Iterator[InferenceServer]:
    """Runs the server while the block runs: ``slots`` answers at a time, each after ``delay_seconds``.

    0 slots for any number.
    """
    module = "benchmarks.inference_server"
    command = [sys.executable, "-m", module, "--slots", str(slots), "--delay", str(delay_seconds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            port = process.stdout.readline().strip() if process.stdout else ""
            yield InferenceServer(f"http://127.0.0.1:{port}/v1")
        finally:
            process.kill()


class _Answers:
    """The server's state: its free slots, and what it has counted."""

    def __init__(self, slots: int, delay_seconds: float) -> None:
        self.free = asyncio.Semaphore(slots or 1_000_000)
        self.delay_seconds = delay_seconds
        self.requests, self.first, self.last = 0, 0.0, 0.0

    async def complete(self, request: web.Request) -> web.Response:
        try:
            body = await request.json()
        except ConnectionError:
            return web.Response()  # the client was killed
        self.first = self.first or time.monotonic()
        async with self.free:
            await asyncio.sleep(self.delay_seconds)
            if request.transport is None:
                return web.Response()  # the client was killed
        self.requests, self.last = self.requests + 1, time.monotonic()
        message = {"role": "assistant", "content": _answer(body["messages"][-1]["content"])}
        choice = {"index": 0, "finish_reason": "stop", "message": message}
        usage = {"prompt_tokens": 50, "completion_tokens": _LENGTH, "total_tokens": 50 + _LENGTH}
        return web.json_response(
            {
                "id": "loopback",
                "object": "chat.completion",
                "created": 0,
                "model": body["model"],
                "choices": [choice],
                "usage": usage,
            }
        )

    async def count(self, request: web.Request) -> web.Response:
        counted = {"requests": self.requests, "seconds": self.last - self.first}
        if request.query.get("reset") == "1":
            self.requests, self.first, self.last = 0, 0.0, 0.0
        return web.json_response(counted)


def _answer(question: str) -> str:
    words = random.Random(zlib.crc32(question.encode())).choices(_WORDS, k=_LENGTH)
    return " ".join(words)


async def _serve(slots: int, delay_seconds: float) -> None:
    answers, app = _Answers(slots, delay_seconds), web.Application()
    app.router.add_post("/v1/chat/completions", answers.complete)
    app.router.add_get("/v1/count", answers.count)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=1024).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slots", type=int, required=True, help="answers at a time; 0 for any number")
    parser.add_argument("--delay", type=float, required=True, help="seconds before each answer")
    options = parser.parse_args()
    asyncio.run(_serve(options.slots, options.delay))
