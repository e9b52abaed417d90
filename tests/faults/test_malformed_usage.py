"""A bill that is none costs no answer, over every client and in every protocol that has one."""

from __future__ import annotations

import asyncio
import gzip
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import dspy
import pytest

from dspy_fusion.programs import Vote
from dspy_fusion.serving import ModelEntry

MISSING = object()
USAGES: dict[str, Any] = {
    "fractions": {"prompt_tokens": 3.7, "completion_tokens": 2.0, "total_tokens": 5.7},
    "texts": {"prompt_tokens": "12", "completion_tokens": "x"},
    "negative": {"prompt_tokens": -5, "completion_tokens": -1, "total_tokens": -6},
    "empty": {},
    "null": None,
    "a text": "none",
    "a number": 7,
    "a list": [1],
    "missing": MISSING,
    "lists of tokens": {"prompt_tokens": None, "completion_tokens": [1]},
    "a text of details": {"prompt_tokens": 3, "completion_tokens": 2, "completion_tokens_details": "bad"},
    "texts in details": {"prompt_tokens": 3, "completion_tokens_details": {"reasoning_tokens": "5"}},
    "a list of details": {"prompt_tokens": 3, "prompt_tokens_details": [1], "cost": "free", "server_tool_use": 3},
    "deep": {"prompt_tokens": 3, "prompt_tokens_details": {"cached_tokens": {"x": 1}, "audio_tokens": -1}},
    "tables of tokens": {"prompt_tokens": {"a": 1}, "completion_tokens": True, "total_tokens": "NaN"},
    "no numbers": {"prompt_tokens": float("nan"), "completion_tokens": float("inf")},
    "too large": {"prompt_tokens": 10**40, "completion_tokens": 2, "cache_read_input_tokens": "1"},
}
TEXT = "[[ ## answer ## ]]\nright\n\n[[ ## completed ## ]]"


class Billing(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    usage: Any = None
    packs = False

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        body = _response() if self.path.endswith("responses") else _completion(asked.get("n") or 1)
        if self.usage is not MISSING:
            body["usage"] = self.usage
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        if self.packs and "gzip" in self.headers.get("accept-encoding", ""):
            data = gzip.compress(data)
            self.send_header("content-encoding", "gzip")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        pass


def _completion(n: int) -> dict[str, Any]:
    message = {"role": "assistant", "content": TEXT}
    choices = [{"index": place, "finish_reason": "stop", "message": message} for place in range(n)]
    return {"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": choices}


def _response() -> dict[str, Any]:
    content = [{"type": "output_text", "text": TEXT, "annotations": []}]
    message = {"type": "message", "id": "a", "role": "assistant", "status": "completed", "content": content}
    about = {"id": "x", "object": "response", "created_at": 1, "model": "m", "status": "completed"}
    return {**about, "output": [message]}


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Billing)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    server.server_close()


OWN: dict[str, Any] = {"api_key": "none", "cache": False, "num_retries": 0}
MODELS: dict[str, Callable[[str], dspy.LM]] = {
    "native": lambda url: dspy.LM("hosted_vllm/m", engine="lm15", api_base=url, **OWN),
    "auto": lambda url: dspy.LM("openai/m", api_base=url, **OWN),
    "litellm": lambda url: dspy.LM("hosted_vllm/m", engine="litellm", api_base=url, **OWN),
    "the openai SDK": lambda url: dspy.LM("openai/m", engine="litellm", api_base=url, **OWN),
    "responses": lambda url: dspy.LM("openai/m", model_type="responses", api_base=url, **OWN),
    "catalogue": lambda url: ModelEntry("hosted_vllm/m", address=url).lm(),
    "native catalogue": lambda url: ModelEntry("openai/m", address=url, engine="native").lm(),
    "several addresses": lambda url: ModelEntry("openai/m", addresses=(url, f"{url}/")).lm(),
    "one request": lambda url: ModelEntry("hosted_vllm/m", address=url).lm(together=True),
}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("awaited", [False, True])
@pytest.mark.parametrize("model", MODELS)
def test_a_bill_that_is_none_costs_no_answer(
    model: str, awaited: bool, packed: bool, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Billing, "packs", packed)
    for kind, usage in USAGES.items():
        monkeypatch.setattr(Billing, "usage", usage)
        program = Vote(dspy.Predict("question -> answer"), n=2, quorum=2, lms=[MODELS[model](address)])
        answer = asyncio.run(program.acall(question=kind)) if awaited else program(question=kind)
        assert answer.answer == "right", kind


def test_what_can_be_read_of_a_bill_is_counted(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Billing, "usage", {"prompt_tokens": "12", "completion_tokens": 2.0, "total_tokens": []})
    for name in ("native", "litellm"):
        pool = Vote(dspy.Predict("question -> answer"), n=1, lms=[MODELS[name](address)])(question="q").pool
        assert (pool.total.tokens_in, pool.total.tokens_out) == (12, 2), name
