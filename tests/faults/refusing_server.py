"""A server on this machine that refuses options as real ones do,
each in its provider's own protocol and words, and answers in OpenAI's or Anthropic's."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Refusal = tuple[int, dict[str, Any]]
Rule = Callable[[dict[str, Any]], Refusal | None]
Say = Callable[[dict[str, Any]], dict[str, Any]]


def fields(**values: str) -> str:
    """An answer in DSPy's chat format."""
    return "\n\n".join(f"[[ ## {key} ## ]]\n{value}" for key, value in {**values, "completed": ""}.items())


@dataclass
class RefusingServer:
    """What it refuses, what it says, and what it was asked."""

    rule: Rule = lambda body: None
    say: Say = lambda body: {"content": fields(answer=f"answer {body.get('seed')}")}
    address: str = ""
    bodies: list[dict[str, Any]] = field(default_factory=list)

    def respond(self, path: str, body: dict[str, Any]) -> Refusal:
        self.bodies.append(body)
        if (refusal := self.rule(body)) is not None:
            return refusal
        said: dict[str, Any] = dict(self.say(body))
        finish = said.pop("finish_reason", "stop")
        if path.endswith("/messages"):
            return 200, {
                "id": "m", "type": "message", "role": "assistant", "model": "m",
                "content": [{"type": "text", "text": said["content"]}], "stop_reason": "end_turn",
                "usage": {"input_tokens": 5, "output_tokens": 5},
            }  # fmt: skip
        message = {"role": "assistant", "content": None, **said}
        return 200, {
            "id": "x", "object": "chat.completion", "created": 0, "model": "m",
            "choices": [{"index": 0, "finish_reason": finish, "message": message}],
            "usage": {"prompt_tokens": 5, "completion_tokens": 5, "total_tokens": 10},
        }  # fmt: skip


@contextmanager
def refusing_server(rule: Rule = lambda body: None, **settings: Any) -> Iterator[RefusingServer]:
    """The server for the length of the block."""
    server = RefusingServer(rule, **settings)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status, answer = server.respond(self.path, body)
            if status == 200 and body.get("stream"):
                return self._stream(answer)
            payload = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        def _stream(self, answer: Mapping[str, Any]) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Connection", "close")
            self.end_headers()
            choice = answer["choices"][0]
            text = choice["message"]["content"] or ""
            head = {"id": "x", "object": "chat.completion.chunk", "created": 0, "model": "m"}
            for begin in range(0, len(text), 4):
                delta = {"role": "assistant", "content": text[begin : begin + 4]}
                self._event({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
            self._event({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": choice["finish_reason"]}]})
            self._event({**head, "choices": [], "usage": answer["usage"]})
            self.wfile.write(b"data: [DONE]\n\n")
            self.close_connection = True

        def _event(self, data: Mapping[str, Any]) -> None:
            self.wfile.write(b"data: " + json.dumps(data).encode() + b"\n\n")

        def log_message(self, format: str, *args: Any) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.address = f"http://127.0.0.1:{http.server_address[1]}"
    thread = threading.Thread(target=http.serve_forever, args=(0.02,), name="refusing-server", daemon=True)
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
        thread.join()


def openai_error(message: str, param: str | None = None, code: str | None = None) -> Refusal:
    """As OpenAI, Azure, Groq and many servers after them."""
    return 400, {"error": {"message": message, "type": "invalid_request_error", "param": param, "code": code}}


def anthropic_error(message: str) -> Refusal:
    """As Anthropic."""
    return 400, {"type": "error", "error": {"type": "invalid_request_error", "message": message}}


def pydantic_error(
    name: str, kind: str = "extra_forbidden", message: str = "Extra inputs are not permitted"
) -> Refusal:
    """As servers on FastAPI (vLLM, Mistral, TGI)."""
    return 422, {"detail": [{"type": kind, "loc": ["body", name], "msg": message, "input": 1}]}
