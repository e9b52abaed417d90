"""The real server on a free port of this machine: embedded models and a fusion of them,
and scripted models that are slow or wrong.
"""

from __future__ import annotations

import asyncio
import importlib
import socket
from collections.abc import Callable, Iterator
from typing import Any

import dspy
import httpx
import openai
import pytest
from dspy.signatures.signature import make_signature

from dspy_fusion.programs import Fusion, PlainAdapter
from dspy_fusion.serving import embedded_lm
from dspy_fusion.serving.embedded.arithmetic import TASK_INSTRUCTIONS
from dspy_fusion.serving.endpoint.served_model import ServedModel
from dspy_fusion.serving.endpoint.served_program import ServedProgram
from dspy_fusion.serving.endpoint.server import endpoint_server

scripted = importlib.import_module(
    "conftest"
)  # the one at the top; a checker would take `import conftest` for this very file

PATIENCE_SECONDS = 120.0
SHEET = "(a) 12 + 30\n(b) 745 - 98\n(c) 128 x 4\n(d) 99 + 1"


def worksheets_fusion(n: int = 3) -> Fusion:
    task = dspy.Predict(make_signature("worksheet -> answers", TASK_INSTRUCTIONS))
    teachers = [embedded_lm(name) for name in ("plus", "minus", "times")]
    return Fusion(task, n=n, lms=teachers, fusor_lm=embedded_lm("aft"))


@pytest.fixture(scope="session")
def url() -> Iterator[str]:
    """A server of the bare model ``aft`` and the program ``sheets``."""
    with endpoint_server(
        [ServedModel("aft", "aft"), ServedProgram("sheets", worksheets_fusion(), adapter=PlainAdapter())]
    ) as address:
        yield address


@pytest.fixture
def client(url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=url, api_key="none", max_retries=0) as made:
        yield made


def ask(url: str, model: str = "m", content: str = "q", **further: Any) -> httpx.Response:
    """A chat request with nothing around it."""
    body = {"model": model, "messages": [{"role": "user", "content": content}], **further}
    return httpx.post(f"{url}/chat/completions", json=body, timeout=PATIENCE_SECONDS)


def health(url: str) -> dict[str, Any]:
    """What a server says of itself."""
    return httpx.get(f"{url.removesuffix('/v1')}/health", timeout=PATIENCE_SECONDS).json()


def connected(url: str, sent: bytes) -> socket.socket:
    """A connection on which so much has been sent."""
    made = socket.create_connection(("127.0.0.1", httpx.URL(url).port or 0), timeout=PATIENCE_SECONDS)
    made.sendall(sent)
    return made


class SlowEngine:
    """Answers when ``ready`` is set, in words of its own; knows how many calls it has and how many were cancelled."""

    def __init__(self, text: str = "[[ ## answer ## ]]\nlate\n\n[[ ## completed ## ]]") -> None:
        self.ready, self.text, self.calls, self.cancelled = False, text, 0, 0

    async def complete(self, request: Any) -> Any:
        self.calls += 1
        try:
            while not self.ready:
                await asyncio.sleep(0.01)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return scripted.ScriptedEngine(lambda _: self.text).complete(request)

    async def stream(self, request: Any) -> Any:
        for event in scripted.response_to_events(await self.complete(request)):
            yield event

    async def aclose(self) -> None:
        pass

    def __deepcopy__(self, memo: dict) -> SlowEngine:
        return self


def slow_lm(engine: SlowEngine) -> dspy.LM:
    return dspy.LM(
        "scripted/slow", engine=scripted.ScriptedEngine(lambda _: ""), async_engine=engine, cache=False, num_retries=0
    )


def fusion_of(answer: Callable[[Any], Any], signature: str = "question -> answer", **options: Any) -> Fusion:
    lm = scripted.ScriptedLM(answer)
    return Fusion(dspy.Predict(signature), lms=[lm], fusor_lm=lm, **{"n": 2, **options})
