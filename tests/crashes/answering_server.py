"""A server of OpenAI's chat protocol in the test's own process, so that it outlives every kill:
the same request gets the same answer.

Every answer carries a mark that is its request's digest. So what a run has written down tells which calls it had the
results of.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from dspy_fusion.serving.embedded.arithmetic import LABELS, parse_question

DELAY_SECONDS = 0.004
_MARK = re.compile(r"mark:([0-9a-f]{12}):")


class AnsweringServer:
    """What was asked so far, as the marks of the answers, in the order of the requests;
    it answers while ``open`` is set.
    """

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.address = ""
        self.open = threading.Event()
        self.open.set()

    def answer(self, body: dict[str, Any]) -> str:
        mark = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:12]
        self.asked.append(mark)
        self.open.wait(60)
        time.sleep(DELAY_SECONDS)
        return _text(body, f"mark:{mark}:")


def marks_in(text: str) -> set[str]:
    """The marks of the answers that a text contains."""
    return set(_MARK.findall(text))


def _text(body: dict[str, Any], mark: str) -> str:
    prompt, rng = body["messages"][-1]["content"], random.Random(mark)
    if body["model"] == "judge":
        return f"{mark} {rng.randint(0, 8)}/8"
    if body["model"] == "proposer":
        field = "improved" if "`[[ ## improved ## ]]`" in prompt else "instruction"
        return f"[[ ## {field} ## ]]\nTake what most responses say, {mark} and mend it.\n\n[[ ## completed ## ]]"
    if "x" not in prompt.replace("(", "") or not re.search(r"^\(a\) ", prompt, re.MULTILINE):
        return f"About {prompt[:60]!r} there is this to say: {mark} {rng.random()}"
    seen = re.findall(r"^\((\w)\) .* = (\d+)$", body["messages"][0]["content"], re.MULTILINE)
    return "\n".join([*_sheet(prompt, seen, rng), mark])


def _sheet(prompt: str, seen: list[tuple[str, str]], rng: random.Random) -> Iterator[str]:
    """Half of the parts right; shown candidates, those parts that one of them has right."""
    for label, part in zip(LABELS, parse_question(prompt), strict=False):
        right = (label, str(part.result)) in seen if seen else rng.random() < 0.5
        yield f"({label}) {part} = {part.result if right else part.result + 1}"


@contextmanager
def answering_server() -> Iterator[AnsweringServer]:
    """The server for the length of the block."""
    state = AnsweringServer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            choice = {
                "index": 0,
                "finish_reason": "stop",
                "message": {"role": "assistant", "content": state.answer(body)},
            }
            usage = {"prompt_tokens": 20, "completion_tokens": 10, "total_tokens": 30}
            made = {
                "id": "x",
                "object": "chat.completion",
                "created": 0,
                "model": body["model"],
                "choices": [choice],
                "usage": usage,
            }
            payload = json.dumps(made).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        def log_message(self, format: str, *args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 64

        def handle_error(self, request: Any, client_address: Any) -> None:
            pass  # the client was killed

    server = Server(("127.0.0.1", 0), Handler)
    state.address = f"http://127.0.0.1:{server.server_port}/v1"
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
