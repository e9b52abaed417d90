"""Clients that take too long, and a server that is told to stop while it has work."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dspy
import pytest
from waiting import wait_for

from dspy_fusion.programs import ConfigurationError, Vote
from dspy_fusion.serving.endpoint.request_limits import Limits
from dspy_fusion.serving.endpoint.served_program import ServedProgram
from dspy_fusion.serving.endpoint.server import endpoint_server, key_for

from .conftest import PATIENCE_SECONDS, SlowEngine, ask, connected, fusion_of, health, slow_lm

QUICK = Limits(header_seconds=0.5, body_seconds=0.5, connections=20)


def test_a_client_that_takes_too_long_for_a_request_is_let_go() -> None:
    with endpoint_server([ServedProgram("m", fusion_of(lambda request: {"answer": "a"}))], limits=QUICK) as url:
        with connected(url, b"POST /v1/chat/comp") as half, connected(url, b"") as silent:
            assert half.recv(100).startswith(b"HTTP/1.1 408")
            assert silent.recv(100).startswith(b"HTTP/1.1 408")
        headers = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        with connected(url, headers + b"Content-Length: 100\r\n\r\n{") as slow:
            assert slow.recv(100).startswith(b"HTTP/1.1 408")
        wait_for(lambda: ask(url).status_code == 200)  # this client may be slow itself


def test_connections_that_only_wait_make_room_for_others() -> None:
    with endpoint_server(
        [ServedProgram("m", fusion_of(lambda request: {"answer": "a"}))],
        limits=Limits(connections=20, header_seconds=600),
    ) as url:
        waiting = [connected(url, b"GET /hea") for _ in range(20)]
        wait_for(lambda: ask(url).status_code == 200)  # a second later, when the others are no longer new
        assert waiting[0].recv(100).startswith(b"HTTP/1.1 408")
        for one in waiting:
            one.close()


@pytest.mark.parametrize("key", ["geheim-é", "new\nline", " padded"])
def test_a_key_that_no_header_can_carry_is_refused(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DSPY_FUSION_API_KEY", key)
    with pytest.raises(ConfigurationError, match="DSPY_FUSION_API_KEY has characters that no HTTP header can carry"):
        key_for("127.0.0.1")


SERVE = """
import asyncio, sys
from pathlib import Path
import dspy
from dspy_fusion.programs import Vote
from dspy_fusion.serving.endpoint.request_limits import Limits
from dspy_fusion.serving.endpoint.served_program import ServedProgram
from dspy_fusion.serving.endpoint.server import serve

class Stuck(dspy.Module):
    async def aforward(self, question):
        Path(sys.argv[1]).touch()
        await asyncio.sleep(600)

program = ServedProgram("m", Vote(Stuck(), n=1, signature="question -> answer"))
serve([program], port=0, limits=Limits(grace_seconds=0.5), ready=lambda url: print(url, flush=True))
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_what_is_not_done_when_a_server_stops_is_told_so(number: signal.Signals, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    command = [sys.executable, "-c", SERVE, str(begun)]
    with (
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ)
        ) as process,
        ThreadPoolExecutor(2) as threads,
    ):
        assert process.stdout
        assert process.stderr
        url = process.stdout.readline().strip()
        asking = [threads.submit(ask, url, stream=stream) for stream in (False, True)]
        wait_for(begun.exists)
        wait_for(lambda: health(url)["running"] == 2)
        with connected(url, b"POST /v1/ch"):
            process.send_signal(number)
            answers = [one.result() for one in asking]
            code = process.wait(timeout=PATIENCE_SECONDS)
        said = process.stderr.read()
    assert [answer.status_code for answer in answers] == [503, 503]
    assert answers[0].json()["error"]["code"] == "server_stopping"
    if number == signal.SIGTERM:
        assert (code, "Traceback" in said) == (0, False)


def test_a_stream_that_has_begun_is_ended_with_an_error() -> None:
    engine = SlowEngine()
    program = Vote(dspy.Predict("question -> answer"), n=1, lms=[slow_lm(engine)])
    with endpoint_server([ServedProgram("m", program)], limits=Limits(grace_seconds=0.2)) as url:
        threads = ThreadPoolExecutor(1)
        asking = threads.submit(ask, url, stream=True)
        wait_for(lambda: engine.calls == 1)
    assert asking.result().status_code == 503
    assert json.loads(asking.result().text)["error"]["message"] == "this server is stopping"
    threads.shutdown()
