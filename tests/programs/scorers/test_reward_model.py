from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import dspy
import pytest
from conftest import ScriptedLM

from dspy_fusion.programs import BestOfN, ConfigurationError, MissingKey, RewardModel, ScorerError


class Handler(BaseHTTPRequestHandler):
    """Rewards length, as vLLM shapes its answers; ``/html`` is a page."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path.startswith("/html"):
            answer = "<html>hello</html>"
        elif self.path.endswith("/pooling"):
            answer = json.dumps({"data": [{"data": [[-1.0, 40 + float(len(body["messages"][1]["content"]))]]}]})
        else:
            answer = json.dumps({"data": [{"label": "good", "probs": [0.9, len(body["input"]) / 100]}]})
        self.send_response(200)
        self.end_headers()
        self.wfile.write(answer.encode())

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def address() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def best(scorer: RewardModel) -> Any:
    with dspy.context(lm=ScriptedLM(lambda request: {"answer": "x" * (request.config.seed + 1)})):
        return BestOfN(dspy.Predict("question -> answer"), n=3, scorer=scorer)(question="q").pool


@pytest.mark.parametrize("path", ["/pooling", "/classify"])
def test_the_highest_reward_is_taken(path: str, address: str) -> None:
    pool = best(RewardModel(address, model="rm", path=path))
    assert pool.chosen == 2
    assert pool.usage["scorer"].calls == 3
    assert len({candidate.score for candidate in pool.candidates}) == 3
    assert all((candidate.score > 40) == (path == "/pooling") for candidate in pool.candidates)  # raw, and no ties


@pytest.mark.parametrize("trouble", ["a connection that breaks", 429, 503])
def test_a_server_that_is_busy_for_a_moment_costs_no_score(trouble: Any) -> None:
    asked: list[str] = []
    lock = threading.Lock()

    class Busy(Handler):
        def do_POST(self) -> None:
            with lock:
                asked.append(self.path)
                number = len(asked)
            if number > 2:
                super().do_POST()
            elif trouble in (429, 503):
                self.send_error(trouble)
            else:
                self.connection.close()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Busy)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        pool = best(RewardModel(f"http://127.0.0.1:{server.server_port}", model="rm"))
    finally:
        server.shutdown()
        server.server_close()
    assert [candidate.score for candidate in pool.candidates] == [41.0, 42.0, 43.0]
    assert len(asked) == 5


def test_a_request_that_is_wrong_is_not_sent_again() -> None:
    asked: list[str] = []

    class Refusing(Handler):
        def do_POST(self) -> None:
            asked.append(self.path)
            self.send_error(404)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        with pytest.raises(ScorerError, match="404"):
            best(RewardModel(f"http://127.0.0.1:{server.server_port}", model="rm"))
    finally:
        server.shutdown()
        server.server_close()
    assert len(asked) == 3


def test_a_page_instead_of_a_reward_names_the_address(address: str) -> None:
    with pytest.raises(ScorerError, match=r"reward model at http://127.*/html/pooling answered '<html>hello</html>'"):
        best(RewardModel(address + "/html", model="rm"))


def test_a_dead_address_is_named() -> None:
    with pytest.raises(ScorerError, match=r"reward model at http://127.0.0.1:9/pooling did not answer"):
        best(RewardModel("http://127.0.0.1:9", model="rm"))


def test_bad_settings_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    with pytest.raises(ConfigurationError, match="address must begin with http"):
        RewardModel("localhost:8000", model="rm")
    with pytest.raises(ConfigurationError, match="path must be one of"):
        RewardModel("http://127.0.0.1:1", model="rm", path="/score")
    with pytest.raises(MissingKey, match="variable 'NO_SUCH_KEY' is not set"):
        RewardModel("http://127.0.0.1:1", model="rm", key="NO_SUCH_KEY")
