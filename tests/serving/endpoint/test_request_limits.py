"""Limits on how much, how many and how long; what happens when a client leaves, a program fails,
and a server is told to stop.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import dspy
import httpx
import openai
import pytest
from waiting import wait_for

from dspy_fusion.programs import Fusion, MissingKey, Vote
from dspy_fusion.serving.endpoint.request_limits import Limits
from dspy_fusion.serving.endpoint.served_program import ServedProgram
from dspy_fusion.serving.endpoint.server import endpoint_server, key_for

from .conftest import PATIENCE_SECONDS, SlowEngine, ask, connected, fusion_of, health, scripted, slow_lm


def served(engine: SlowEngine, **options: Any) -> ServedProgram:
    return ServedProgram("m", Vote(dspy.Predict("question -> answer"), n=2, lms=[slow_lm(engine)], **options))


def test_what_is_more_than_the_queue_holds_is_told_to_come_back() -> None:
    engine = SlowEngine()
    with (
        endpoint_server([served(engine)], limits=Limits(running=1, waiting=1)) as url,
        ThreadPoolExecutor(2) as threads,
    ):
        answered = [threads.submit(ask, url) for _ in range(2)]
        wait_for(lambda: health(url) == {"status": "ok", "running": 1, "waiting": 1})
        refused = ask(url)
        engine.ready = True
        assert [response.result().status_code for response in answered] == [200, 200]
    assert (refused.status_code, refused.headers["Retry-After"], refused.json()["error"]["code"]) == (
        429,
        "1",
        "rate_limit_exceeded",
    )


@pytest.mark.parametrize("stream", [False, True])
def test_the_time_limit_ends_the_calls(stream: bool) -> None:
    engine = SlowEngine()
    with endpoint_server([served(engine)], limits=Limits(seconds=0.3)) as url:
        response = ask(url, stream=stream)
        wait_for(lambda: engine.cancelled == engine.calls)  # two calls, if they were made in time
    assert (response.status_code, response.json()["error"]["code"]) == (504, "time_limit")
    assert response.headers["x-should-retry"] == "false"


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves_ends_the_calls(stream: bool) -> None:
    engine = SlowEngine()
    with endpoint_server([served(engine)]) as url:
        body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "q"}], "stream": stream, "n": 2})
        head = "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        with connected(url, f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode()):
            wait_for(lambda: engine.calls == 4)
        wait_for(lambda: engine.cancelled == 4)
        wait_for(lambda: health(url)["running"] == 0)


def test_a_client_that_leaves_in_the_middle_of_a_stream_ends_the_calls() -> None:
    slow = SlowEngine()
    quick = scripted.ScriptedLM(lambda request: {"answer": "quick"})
    program = Fusion(dspy.Predict("question -> answer"), n=2, lms=[quick], fusor_lm=quick)
    with endpoint_server([ServedProgram("m", program), ServedProgram("slow", served(slow).program)]) as url:
        body = {"model": "m", "messages": [{"role": "user", "content": "q"}], "stream": True, "n": 2}
        with httpx.stream("POST", f"{url}/chat/completions", json=body, timeout=PATIENCE_SECONDS) as response:
            next(response.iter_lines())
        wait_for(lambda: health(url)["running"] == 0)


def test_a_failed_program_says_so_without_its_servers_words() -> None:
    def fails(request: Any) -> Any:
        raise ValueError("key sk-123 of 10.0.0.7 is wrong")

    with endpoint_server([ServedProgram("m", fusion_of(fails))]) as url:
        for stream in (False, True):
            response = ask(url, stream=stream)
            assert (response.status_code, response.json()["error"]["code"]) == (502, "quorum_not_met")
            assert (
                response.json()["error"]["message"] == "0 of 2 candidates succeeded, but quorum=1 (LMUnexpectedError)"
            )
        with (
            openai.OpenAI(base_url=url, api_key="none") as client,
            pytest.raises(openai.InternalServerError, match="0 of 2"),
        ):
            client.chat.completions.create(model="m", messages=[{"role": "user", "content": "q"}])


def test_a_fallback_is_declared() -> None:
    def answer(request: Any) -> Any:
        if scripted.is_fusor(request):
            raise ValueError("too long")
        return {"answer": "most"}

    with endpoint_server([ServedProgram("m", fusion_of(answer))]) as url:
        body = ask(url).json()
    assert (body["choices"][0]["message"]["content"], body["dspy_fusion"]["fallback"]) == ("most", "the fusor failed")


def test_requests_at_once_do_not_mix() -> None:
    program = fusion_of(
        lambda request: {"answer": scripted.prompt_of(request).split("question ## ]]\n")[1].split("\n")[0]}
    )
    with endpoint_server([ServedProgram("m", program)]) as url, ThreadPoolExecutor(16) as threads:
        said = threads.map(lambda i: ask(url, content=f"q{i}").json()["choices"][0]["message"]["content"], range(32))
        assert list(said) == [f"q{i}" for i in range(32)]


def test_an_address_that_others_reach_needs_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DSPY_FUSION_API_KEY", raising=False)
    assert key_for("127.0.0.1") == ""
    with pytest.raises(
        MissingKey, match=r"host '0\.0\.0\.0' can be reached from other machines: set DSPY_FUSION_API_KEY"
    ):
        key_for("0.0.0.0")
    monkeypatch.setenv("DSPY_FUSION_API_KEY", "secret")
    assert key_for("0.0.0.0") == key_for("127.0.0.1") == "secret"


SERVE = """
import sys, time
from pathlib import Path
import dspy
from dspy_fusion.programs import Vote
from dspy_fusion.serving.endpoint.served_program import ServedProgram
from dspy_fusion.serving.endpoint.server import serve

class Slow(dspy.Module):
    async def aforward(self, question):
        import asyncio
        Path(sys.argv[1]).touch()
        await asyncio.sleep(1)
        return dspy.Prediction(answer="finished")

program = ServedProgram("m", Vote(Slow(), n=1, signature="question -> answer"))
serve([program], port=0, ready=lambda url: print(url, flush=True))
"""


def test_a_server_that_is_told_to_stop_finishes_what_it_has_begun(tmp_path: Any) -> None:
    begun = tmp_path / "begun"
    command = [sys.executable, "-c", SERVE, str(begun)]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=dict(os.environ)) as process,
        ThreadPoolExecutor(1) as threads,
    ):
        assert process.stdout
        url = process.stdout.readline().strip()
        answering = threads.submit(ask, url)
        wait_for(begun.exists)
        process.send_signal(signal.SIGTERM)
        assert answering.result().json()["choices"][0]["message"]["content"] == "finished"
        assert process.wait(timeout=PATIENCE_SECONDS) == 0


def test_no_thread_is_left_when_a_server_has_stopped() -> None:
    before = threading.active_count()
    with endpoint_server([ServedProgram("m", fusion_of(lambda request: {"answer": "a"}))]) as url:
        assert ask(url).status_code == 200
    wait_for(lambda: threading.active_count() <= before)


@pytest.mark.parametrize(("engine", "loaded"), [("litellm", "True"), ("lm15", "False")])
def test_the_first_answer_does_not_wait_for_litellm_to_load(engine: str, loaded: str) -> None:
    code = (
        "import sys, dspy; from dspy_fusion.programs import Vote; from dspy_fusion.serving.endpoint.served_program"
        " import ServedProgram; lm = dspy.LM('openai/m', api_base='http://127.0.0.1:9/v1', api_key='none',"
        f" engine={engine!r}); ServedProgram('m', Vote(dspy.Predict('q -> a'), n=2, lms=[lm])).warm_up();"
        " print('litellm.main' in sys.modules)"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
        == loaded
    )
