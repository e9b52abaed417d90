"""What the endpoint stands.

Malformed, oversized and deep requests, slow and killed clients, and more of them at once than it takes. Health must be
answered throughout, and descriptors and memory must come back to where they were.

    python -m benchmarks.attack --rounds 3

What a first round leaves in memory may be kept for the next one; what grows with every round is a leak. At the end the
server gives back what its allocator holds without need (``malloc_trim``), which says how much of the rest is of that
kind. Everything stays on this machine: the server, an embedded model in a process of its own, listens on 127.0.0.1.
"""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import gc
import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

SLOW_CLIENTS, AT_ONCE, MALFORMED, KILLED = 1100, 1000, 300, 100
_BODY: dict[str, Any] = {"model": "aft", "messages": [{"role": "user", "content": "(a) 12 + 30"}]}
_PATIENCE = 5.0  # seconds within which health must be answered


class Attack:
    """Clients of one server.

    Args:
        port: of the server.
        process: its id.
    """

    def __init__(self, port: int, process: int) -> None:
        self.port, self._process = port, process
        self.health: list[float] = []
        self.failed_health = 0

    def descriptors(self) -> int:
        """How many the server's process has."""
        return len(list(Path(f"/proc/{self._process}/fd").iterdir()))

    def memory(self) -> float:
        """Its resident memory in MB."""
        pages = int(Path(f"/proc/{self._process}/statm").read_text().split()[1])
        return pages * resource.getpagesize() / 2**20

    async def watch(self) -> None:
        """Asks for health five times a second, over a new connection each time."""
        while True:
            started = time.monotonic()
            try:
                async with asyncio.timeout(_PATIENCE):
                    status = await self.send(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                self.failed_health += status != 200
            except (OSError, TimeoutError):
                self.failed_health += 1
            self.health.append(time.monotonic() - started)
            await asyncio.sleep(0.2)

    async def send(self, request: bytes) -> int:
        """Sends a request over a new connection and returns the status of the answer, 0 where there is none."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(request)
            with suppress(OSError):
                await writer.drain()
            words = (await reader.readline()).split()
            return int(words[1]) if len(words) > 1 else 0
        except OSError:
            return 0
        finally:
            writer.close()

    async def malformed(self) -> Counter[int]:
        """Bodies that are no requests."""
        chance = random.Random(0)
        whole = json.dumps(_BODY).encode()
        bodies = [_broken(whole, chance) for _ in range(MALFORMED)]
        return Counter([await self.send(post(body)) for body in bodies])

    async def oversized(self) -> Counter[int]:
        """Bodies that are too large or too deep, long stop texts, schemas that refer to themselves, long headers."""
        loop: dict[str, Any] = {"$ref": "#"}
        form = {"type": "json_schema", "json_schema": {"name": "x", "schema": loop}}
        bodies = [
            b" " * 5_000_000,
            b"[" * 100_000,
            b'{"a":' * 50_000,
            json.dumps({**_BODY, "stop": "x" * 100_000, "stream": True}).encode(),
            json.dumps({**_BODY, "response_format": form}).encode(),
            json.dumps({**_BODY, "messages": [{"role": "user", "content": "1" * 1_000_000}]}).encode(),
            json.dumps({**_BODY, "n": 10**9, "seed": 10**30}).encode(),
        ]
        statuses = [await self.send(post(body)) for body in bodies]
        statuses.append(await self.send(b"GET /" + b"x" * 200_000))
        return Counter(statuses)

    async def slow(self) -> Counter[int]:
        """Clients that send half a request line, and some that drip a body."""
        half = [self._hold(b"POST /v1/chat/compl") for _ in range(SLOW_CLIENTS)]
        body = post(b"{}").replace(b"Content-Length: 2", b"Content-Length: 1000")
        return Counter(await asyncio.gather(*half, *(self._hold(body, drips=True) for _ in range(50))))

    async def killed(self) -> Counter[int]:
        """Clients of streams that are gone after the first bytes."""

        async def client() -> int:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            writer.write(post(json.dumps({**_BODY, "stream": True, "n": 4}).encode()))
            with suppress(OSError):
                await reader.read(20)
            writer.transport.abort()
            return 0

        return Counter(await asyncio.gather(*(client() for _ in range(KILLED))))

    async def at_once(self) -> Counter[int]:
        """More requests at once than are taken."""
        request = post(json.dumps({**_BODY, "max_tokens": 30}).encode())
        return Counter(await asyncio.gather(*(self.send(request) for _ in range(AT_ONCE))))

    async def _hold(self, beginning: bytes, *, drips: bool = False) -> int:
        """Sends the beginning of a request and waits until the server ends it; 0 where it said nothing."""
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return 0
        try:
            writer.write(beginning)
            while drips and not reader.at_eof():
                writer.write(b" ")
                with suppress(TimeoutError):
                    async with asyncio.timeout(0.5):
                        return int((await reader.readline()).split()[1])
            words = (await reader.readline()).split()
            return int(words[1]) if len(words) > 1 else 0
        except (OSError, IndexError):
            return 0
        finally:
            writer.close()


def post(body: bytes) -> bytes:
    """A chat request with this body."""
    head = "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    return f"{head}Connection: close\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def _broken(whole: bytes, chance: random.Random) -> bytes:
    """A body of which a byte is another, a part is missing, or all is noise."""
    place = chance.randrange(len(whole))
    kinds = (
        whole[:place],
        whole[:place] + bytes([chance.randrange(256)]) + whole[place + 1 :],
        chance.randbytes(place),
        json.dumps({**_BODY, chance.choice(["n", "stop", "seed", "messages", "stream"]): [None, {}]}).encode(),
    )
    return chance.choice(kinds)


async def attacked(port: int, process: int, tell: Callable[[str], None], rounds: int = 1) -> Attack:
    """All attacks on a server, one after the other and as often as said; tells what each brought."""
    attack = Attack(port, process)
    await attack.send(post(json.dumps(_BODY).encode()))
    await attack.at_once()  # warm: what the server keeps for good is there before the first figures
    await asyncio.sleep(1)
    before = attack.descriptors(), attack.memory()
    watching = asyncio.ensure_future(attack.watch())
    kinds: list[Callable[[], Awaitable[Counter[int]]]] = [
        *(attack.malformed, attack.oversized, attack.slow, attack.killed, attack.at_once)
    ]
    held = []
    for _ in range(rounds):
        for kind in kinds:
            started, memory = time.monotonic(), attack.memory()
            statuses = ", ".join(f"{count} x {status or 'no'}" for status, count in sorted((await kind()).items()))
            grown = attack.memory() - memory
            tell(f"{kind.__name__:<10} {time.monotonic() - started:5.1f} s {grown:+5.1f} MB   answers: {statuses}")
        await asyncio.sleep(3)
        held.append((attack.descriptors(), attack.memory()))
    watching.cancel()
    tell(f"health     {len(attack.health)} asked, {attack.failed_health} failed, slowest {max(attack.health):.2f} s")
    tell(f"before     {before[0]} descriptors, {before[1]:.0f} MB")
    for place, (descriptors, memory) in enumerate(held):
        tell(f"round {place + 1}    {descriptors} descriptors, {memory:.0f} MB")
    os.kill(process, signal.SIGUSR1)
    await asyncio.sleep(1)
    tell(f"trimmed    {attack.descriptors()} descriptors, {attack.memory():.0f} MB")
    return attack


def _trim(*_: object) -> None:
    """Gives memory that nothing uses back to the system, where the C library can."""
    gc.collect()
    with suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)


@contextmanager
def victim() -> Iterator[tuple[int, int]]:
    """A server in a process of its own while the block runs; its port and the process's id."""
    command = [sys.executable, "-m", "benchmarks.attack", "--server"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            url = process.stdout.readline().strip() if process.stdout else ""
            yield int(url.rpartition(":")[2].partition("/")[0]), process.pid
        finally:
            process.terminate()


def main() -> None:
    """Attacks a server, or is the server."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--server", action="store_true", help="be the server")
    parser.add_argument("--rounds", type=int, default=1, help="how often (default: 1)")
    arguments = parser.parse_args()
    if arguments.server:
        signal.signal(signal.SIGUSR1, _trim)
        from dspy_fusion.serving.endpoint.request_limits import Limits
        from dspy_fusion.serving.endpoint.served_model import ServedModel
        from dspy_fusion.serving.endpoint.server import serve

        limits = Limits(header_seconds=3, body_seconds=5, grace_seconds=1)
        serve([ServedModel("aft", "aft")], port=0, limits=limits, ready=lambda url: print(url, flush=True))
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4096)), hard))
    with victim() as (port, process):
        asyncio.run(attacked(port, process, print, arguments.rounds))


if __name__ == "__main__":
    main()
