"""What the endpoint costs on top of the program that it serves.

Per request under load, and until the first streamed token.

The served program is a fusion over a loopback server with a fixed delay, in a process of its own, as ``dspy-fusion
serve`` starts it. The reference calls the same program in this process, and both are measured in turns. Clients begin
spread over one answer's
time: 32 that begin at once would only measure how 32 times one request's work queues up on the processors. Both
processes have the collector of garbage leave alone what was loaded before, as the server does by itself: its walks over
that would be most of what is measured.
"""

from __future__ import annotations

import asyncio
import gc
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import dspy

from dspy_fusion.programs import Fusion
from dspy_fusion.serving.endpoint.saved_program import save_program

from .loopback import loopback_server

N = 3
TURNS = 6
_TASK = "question -> answer"
_BODY = {"model": "fusion", "messages": [{"role": "user", "content": "q"}]}


@dataclass(frozen=True)
class EndpointOverhead:
    """What was measured, in seconds.

    Attributes:
        endpoint: from a request to its answer, one number a request, turn after turn.
        in_process: likewise for calls of the program in this process, in the turns between.
        endpoint_work: processor time a request, of the endpoint's process and of the client together.
        in_process_work: processor time a call.
        first_token: from the fusor's first token to the client's, one number a streamed request.
    """

    endpoint: list[float]
    in_process: list[float]
    endpoint_work: float
    in_process_work: float
    first_token: list[float]

    @property
    def overheads(self) -> list[float]:
        """The difference of the means, one number a turn."""
        size = len(self.endpoint) // TURNS
        sides = [
            [statistics.mean(values[i * size : (i + 1) * size]) for i in range(TURNS)]
            for values in (self.endpoint, self.in_process)
        ]
        return [there - here for there, here in zip(*sides, strict=True)]

    def lines(self) -> Iterator[str]:
        """The results for people."""
        rows = (("in process", self.in_process, self.in_process_work), ("endpoint", self.endpoint, self.endpoint_work))
        for name, values, work in rows:
            mean, median = 1000 * statistics.mean(values), 1000 * statistics.median(values)
            yield f"  {name:12} mean {mean:7.1f} ms   median {median:7.1f} ms   processor {1000 * work:5.1f} ms"
        work = 1000 * (self.endpoint_work - self.in_process_work)
        turns = ", ".join(f"{1000 * seconds:.1f}" for seconds in self.overheads)
        middle = 1000 * statistics.median(self.overheads)
        yield f"  overhead per request: {middle:.1f} ms (of the means, the median turn)   target: under 10 ms"
        yield f"    turn by turn: {turns} ms; processor {work:.1f} ms, the client's included"
        token = sorted(1000 * seconds for seconds in self.first_token)
        middle, late = statistics.median(token), token[int(0.95 * len(token))]
        yield (
            f"  first streamed token after the fusor's: median {middle:.1f} ms, 95th percentile {late:.1f} ms   target:"
            " within 50 ms"
        )


def measure_endpoint(*, concurrency: int, delay_seconds: float, rounds: int) -> EndpointOverhead:
    """Measures, alternating between the endpoint and this process.

    Args:
        concurrency: how many requests are under way at a time.
        delay_seconds: of each call of the loopback server; a request makes two after one another.
        rounds: how many requests each client makes in each of six turns.
    """
    with loopback_server(delay_seconds) as address:
        lm = dspy.LM("openai/loopback", api_base=address, api_key="none", cache=False, num_retries=0, engine="lm15")
        program = Fusion(dspy.Predict(_TASK), n=N, lms=[lm], fusor_lm=lm)
        with _served(program, lm, address) as (url, pid), dspy.context(disable_history=True, trace=None):
            return asyncio.run(_measure(program, url, pid, concurrency, 2 * delay_seconds, rounds))


async def _measure(
    program: dspy.Module, url: str, pid: int, concurrency: int, answer_seconds: float, rounds: int
) -> EndpointOverhead:
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=concurrency), raise_for_status=True
    ) as client:

        async def over_http() -> None:
            async with client.post(f"{url}/chat/completions", json=_BODY) as response:
                await response.json()

        async def in_process() -> None:
            await program.acall(question="q")

        for warm_up in (over_http, in_process):
            await _clients(warm_up, concurrency, answer_seconds, 1)
        gc.collect()
        gc.freeze()
        endpoint, reference, work = [], [], [0.0, 0.0]
        for _ in range(TURNS):
            for place, (call, seconds) in enumerate(((in_process, reference), (over_http, endpoint))):
                before = _processor_seconds(pid)
                seconds += await _clients(call, concurrency, answer_seconds, rounds)
                work[place] += _processor_seconds(pid) - before
        first = [await _first_token(client, url) for _ in range(40)]
    return EndpointOverhead(endpoint, reference, work[1] / len(endpoint), work[0] / len(reference), first)


def _processor_seconds(pid: int) -> float:
    """Of this process and of another, whose times Linux tells in ticks."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return time.process_time() + (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def _clients(
    call: Callable[[], Awaitable[None]], concurrency: int, answer_seconds: float, rounds: int
) -> list[float]:
    async def one(place: int) -> list[float]:
        await asyncio.sleep(place * answer_seconds / concurrency)
        seconds = []
        for _ in range(rounds):
            started = time.monotonic()
            await call()
            seconds.append(time.monotonic() - started)
        return seconds

    return [value for values in await asyncio.gather(*map(one, range(concurrency))) for value in values]


async def _first_token(client: aiohttp.ClientSession, url: str) -> float:
    late = math.nan
    async with client.post(f"{url}/chat/completions", json={**_BODY, "stream": True}) as response:
        async for line in response.content:
            if math.isnan(late) and (begun := line.decode().partition('"content":"')[2].partition('"')[0]):
                late = time.monotonic() - float(begun)
    return late


@contextmanager
def _served(program: dspy.Module, lm: dspy.LM, address: str) -> Iterator[tuple[str, int]]:
    with tempfile.TemporaryDirectory() as folder:
        models, file = Path(folder) / "models.toml", Path(folder) / "fusion.json"
        models.write_text(
            f'[loopback]\nmodel = "openai/loopback"\naddress = "{address}"\nengine = "native"\n', encoding="utf-8"
        )
        save_program(program, file, models={"loopback": lm})
        command = [
            sys.executable,
            "-m",
            "dspy_fusion.experiments",
            "serve",
            str(file),
            "--models",
            str(models),
            "--port",
            "0",
        ]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env={**os.environ, "COLUMNS": "200"}
        ) as process:
            try:
                yield (process.stdout.readline().split(" at ")[-1].strip() if process.stdout else ""), process.pid
            finally:
                process.terminate()
