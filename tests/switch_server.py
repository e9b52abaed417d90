"""A loopback server of OpenAI's chat protocol with switches for what servers honour, ignore and refuse.

It draws words by the request's
seed, so what a switch turns off is really missing from its answers."""

from __future__ import annotations

import json
import random
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

WORDS = "oak elm ash fir yew bay fig gum ivy nut pea rye tea rose reed moss fern palm pine plum".split()


@dataclass
class SwitchServer:
    """Each switch is ``honour``, ``ignore`` or ``refuse``;
    ``status`` other than 200 is what every request gets instead of an answer. Nobody is answered before there have been
    ``at_once`` requests at a time, and after ``held_after`` of them nobody before ``released`` is set.
    """

    n: str = "honour"
    seed: str = "honour"
    top_k: str = "honour"
    min_p: str = "honour"
    logprobs: str = "honour"
    response_format: str = "honour"
    stop: str = "honour"
    context: int | None = None
    delay_seconds: float = 0.0
    at_once: int = 1
    held_after: int = 1_000_000
    status: int = 200
    is_loading: bool = False
    retry_after: str = ""
    address: str = ""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    now: int = 0
    most: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    met: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)

    def took(self, body: dict[str, Any]) -> None:
        """Notes a request, and waits with it until it may be answered."""
        with self.lock:
            self.bodies.append(body)
            self.now, self.most, number = self.now + 1, max(self.most, self.now + 1), len(self.bodies)
        if self.most >= self.at_once or not self.met.wait(30):
            self.met.set()
        if number > self.held_after:
            self.released.wait(120)
        time.sleep(self.delay_seconds)
        with self.lock:
            self.now -= 1

    def answer(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if self.status != 200:
            return self.status, {"error": {"message": "switched off", "type": "server_error"}}
        for name in ("n", "seed", "top_k", "min_p", "logprobs", "response_format", "stop"):
            if getattr(self, name) == "refuse" and body.get(name) is not None and (name, body[name]) != ("n", 1):
                return 400, {"error": {"message": f"{name} is not supported", "type": "invalid_request_error"}}
        body = {name: value for name, value in body.items() if getattr(self, name, "") != "ignore"}
        words = len(" ".join(message["content"] for message in body["messages"]).split())
        if self.context is not None and words > self.context:
            message = (
                f"This model's maximum context length is {self.context} tokens. However, you requested {words} tokens."
            )
            return 400, {
                "error": {"message": message, "type": "invalid_request_error", "code": "context_length_exceeded"}
            }
        choices = [self.choice(body, i) for i in range(body.get("n") or 1)]
        usage = {
            "prompt_tokens": words,
            "completion_tokens": 8 * len(choices),
            "total_tokens": words + 8 * len(choices),
        }
        return 200, {
            "id": "x",
            "object": "chat.completion",
            "created": 0,
            "model": body["model"],
            "choices": choices,
            "usage": usage,
        }

    def choice(self, body: dict[str, Any], index: int) -> dict[str, Any]:
        greedy = body.get("temperature") == 0 or body.get("top_k") == 1 or body.get("min_p") == 1
        seed = "greedy" if greedy else body["seed"] + index if body.get("seed") is not None else random.random()
        drawn = random.Random(f"{body['messages']} {seed}").choices(WORDS, k=min(8, body.get("max_tokens") or 8))
        text = " ".join(drawn)
        if body.get("response_format"):
            properties = body["response_format"]["json_schema"]["schema"]["properties"]
            text = json.dumps(dict.fromkeys(properties, 7))
        for stop in [body["stop"]] if isinstance(body.get("stop"), str) else body.get("stop") or []:
            text = text.partition(stop)[0]
        made: dict[str, Any] = {
            "index": index,
            "finish_reason": "stop",
            "message": {"role": "assistant", "content": text},
        }
        if body.get("logprobs"):
            made["logprobs"] = {"content": [{"token": text, "logprob": -0.5, "bytes": None, "top_logprobs": []}]}
        return made


@contextmanager
def switch_server(**switches: Any) -> Iterator[SwitchServer]:
    """The server for the length of the block."""
    state, connections = SwitchServer(**switches), list[socket.socket]()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            super().setup()
            connections.append(self.connection)

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            state.took(body)
            with suppress(ConnectionError):  # who asked has left
                self.reply(*state.answer(body))

        def do_GET(self) -> None:
            if self.path == "/v1/models":
                self.reply(503 if state.is_loading else 200, {"data": [{"id": "m", "max_model_len": state.context}]})
            elif self.path == "/metrics":
                self.reply(
                    200,
                    '# HELP x\nvllm:num_requests_running{engine="0"} 3.0\nvllm:num_requests_waiting'
                    f" {len(state.bodies)}\n",
                )
            else:
                self.reply(404, {})

        def reply(self, status: int, content: Any) -> None:
            payload = content.encode() if isinstance(content, str) else json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/plain" if isinstance(content, str) else "application/json")
            self.send_header("Content-Length", str(len(payload)))
            if state.retry_after:
                self.send_header("Retry-After", state.retry_after)
            self.end_headers()
            self.wfile.write(payload)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state.address = f"http://127.0.0.1:{server.server_port}/v1"
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield state
    finally:
        state.released.set()
        server.shutdown()
        server.server_close()
        for connection in connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


@contextmanager
def html_server() -> Iterator[str]:
    """Something else at a model's address, for the length of the block; gives the address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<html>a router's login page</html>")

        do_POST = do_GET  # noqa: N815 (as http.server calls it)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()
