"""Connections are used again; a call that is given up ends none that another one reads from by then."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import dspy
import pytest
from dspy.utils.callback import BaseCallback

from dspy_fusion.programs import Vote
from dspy_fusion.programs.calls.metering import Meter

SECONDS = 60
ANSWER = {
    "id": "1",
    "object": "chat.completion",
    "model": "m",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "{'answer': 'a'}"}}],
}


class _Server(ThreadingHTTPServer):
    """Answers the first request at once, and the second when it is told to."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.connections: list[Any] = []
        self.asked_again, self.may_answer = threading.Event(), threading.Event()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server  # pyright: ignore[reportIncompatibleVariableOverride]

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.connections.append(self.client_address)
        if len(self.server.connections) == 2:
            self.server.asked_again.set()
            self.server.may_answer.wait(SECONDS)
        body = json.dumps(ANSWER).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def serving() -> Iterator[_Server]:
    made = _Server()
    threading.Thread(target=made.serve_forever, daemon=True).start()
    yield made
    made.shutdown()
    made.server_close()


class _SlowToNote(BaseCallback):
    """Takes its time over the end of the first call, whose answer is read by then."""

    def __init__(self) -> None:
        self.notes, self.may_go_on = threading.Event(), threading.Event()

    def on_lm_end(self, call_id: str, outputs: Any, exception: BaseException | None = None) -> None:
        if not self.notes.is_set():
            self.notes.set()
            self.may_go_on.wait(SECONDS)


def connections_of_two(engine: Any) -> int:
    """Has a call given up when another has asked, over how many connections; the other one is answered all the same."""
    slow, meter, program = _SlowToNote(), Meter(limited=True), Vote(dspy.Predict("question -> answer"), n=1)
    options: dict[str, Any] = {"api_key": "none", "cache": False, "num_retries": 0}
    with serving() as server, ThreadPoolExecutor(2) as threads:
        lm = dspy.LM("hosted_vllm/m", engine=engine, api_base=f"http://127.0.0.1:{server.server_port}/v1", **options)
        with dspy.context(lm=lm, callbacks=[slow], adapter=dspy.JSONAdapter()):
            (attempt,) = program.attempts({"question": "q"}, 1)
            late = threads.submit(copy_context().run, attempt.make, meter)
            assert slow.notes.wait(SECONDS)
            in_time = threads.submit(copy_context().run, lambda: program(question="q"))
        assert server.asked_again.wait(SECONDS)
        meter.give_up()
        server.may_answer.set()
        slow.may_go_on.set()
        late.result(SECONDS)
        assert in_time.result(SECONDS).answer == "a"
        return len(set(server.connections))


@pytest.mark.parametrize("engine", ["lm15", "litellm"])
def test_a_call_that_is_given_up_late_leaves_its_connection_to_the_next(engine: Any) -> None:
    assert any(connections_of_two(engine) == 1 for _ in range(5))  # clients drop one that was idle for 5 s
