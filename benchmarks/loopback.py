"""A loopback server that speaks OpenAI's chat protocol and answers every request after a fixed delay,
in a process of its own.

It never thinks: what a benchmark measures against it is the client. A request with the seed ``HANGING_SEED`` is not
answered for a minute; a streamed answer says when it was begun, by the machine's monotonic clock, and then goes on for
a while.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import web

HANGING_SEED = 424_242
_PAUSE_SECONDS = 0.02  # between the words of a stream
_ANSWER = "\n\n".join(f"[[ ## {name} ## ]]\n{name}" for name in ("reasoning", "rationale", "answer", "completed"))


@contextmanager
def loopback_server(delay_seconds: float) -> Iterator[str]:
    """Runs the server while the block runs; gives its address, ``http://127.0.0.1:PORT/v1``."""
    command = [sys.executable, "-m", "benchmarks.loopback", "--delay", str(delay_seconds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            port = process.stdout.readline().strip() if process.stdout else ""
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.kill()


async def _serve(delay_seconds: float) -> None:
    async def complete(request: web.Request) -> web.StreamResponse:
        body = await request.json()
        await asyncio.sleep(60 if body.get("seed") == HANGING_SEED else delay_seconds)
        if body.get("stream"):
            return await _stream(request)
        return web.json_response(
            {
                "id": "loopback",
                "object": "chat.completion",
                "created": 0,
                "model": body.get("model", ""),
                "choices": [
                    {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": _ANSWER}}
                ],
                "usage": {"prompt_tokens": 50, "completion_tokens": 20, "total_tokens": 70},
            }
        )

    app = web.Application()
    app.router.add_post("/v1/chat/completions", complete)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, backlog=1024)
    await site.start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


async def _stream(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    words = ["[[ ## answer ## ]]\n", "", *[" word"] * 10, "\n\n[[ ## completed ## ]]\n"]
    for place, word in enumerate(words):
        end = "stop" if place == len(words) - 1 else None
        chunk = {"id": "loopback", "object": "chat.completion.chunk", "created": 0, "model": "loopback"}
        choice = {"index": 0, "delta": {"content": word or f"{time.monotonic():.6f}"}, "finish_reason": end}
        await response.write(f"data: {json.dumps({**chunk, 'choices': [choice]})}\n\n".encode())
        await asyncio.sleep(_PAUSE_SECONDS)
    await response.write(b"data: [DONE]\n\n")
    return response


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--delay", type=float, required=True, help="seconds before each answer")
    asyncio.run(_serve(parser.parse_args().delay))
