"""A scripted model behind DSPy's real LM and engine layers, and fresh settings for every test."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

for _name in ("LITELLM_LOCAL_MODEL_COST_MAP", "MLFLOW_DISABLE_TELEMETRY", "DO_NOT_TRACK"):
    os.environ.setdefault(_name, "true")
for _name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "HF_HUB_DISABLE_TELEMETRY"):
    os.environ.setdefault(_name, "1")
# Tests share the cores. Threads of one that wait for each other do so at full load, and torch's tests took seven times
# as much of the processor on a busy machine.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import dspy  # noqa: E402 (the environment comes first)
import pytest  # noqa: E402
from dspy.lm15 import Message, Request, Response, TextPart, Usage, response_to_events  # noqa: E402
from hypothesis import HealthCheck, settings  # noqa: E402

# How long an example takes says nothing where other processes have the cores.
settings.register_profile("shared cores", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared cores")


class ScriptedEngine:
    """Answers by a function of the request; what it returns as a dict is written in DSPy's chat format."""

    def __init__(self, answer: Callable[[Request], Any]) -> None:
        self.answer = answer
        self.requests: list[Request] = []
        self.lock = threading.Lock()

    def complete(self, request: Request) -> Response:
        with self.lock:
            self.requests.append(request)
        answer = self.answer(request)
        if isinstance(answer, dict):
            answer = "\n\n".join(f"[[ ## {key} ## ]]\n{value}" for key, value in {**answer, "completed": ""}.items())
        return Response(
            id=None,
            model=request.model,
            message=Message.assistant([TextPart(answer)]),
            finish_reason="stop",
            usage=Usage(input_tokens=10, output_tokens=3, total_tokens=13),
        )

    def stream(self, request: Request) -> Iterator[Any]:
        """The answer in pieces of four characters."""
        for event in response_to_events(self.complete(request)):
            text = getattr(getattr(event, "delta", None), "text", None)
            if text is None:
                yield event
            else:
                yield from (
                    replace(event, delta=replace(event.delta, text=text[i : i + 4])) for i in range(0, len(text), 4)
                )

    def close(self) -> None:
        pass

    def __deepcopy__(self, memo: dict) -> ScriptedEngine:
        return self


class AsyncScriptedEngine:
    def __init__(self, engine: ScriptedEngine) -> None:
        self.engine = engine

    async def complete(self, request: Request) -> Response:
        return self.engine.complete(request)

    async def stream(self, request: Request) -> Any:
        for event in self.engine.stream(request):
            yield event

    async def aclose(self) -> None:
        pass

    def __deepcopy__(self, memo: dict) -> AsyncScriptedEngine:
        return self


class ScriptedLM(dspy.LM):
    """A ``dspy.LM`` over a scripted engine; ``requests`` lists what was asked."""

    def __init__(self, answer: Callable[[Request], Any], name: str = "scripted/model", **kwargs: Any) -> None:
        self.script = ScriptedEngine(answer)
        super().__init__(
            name,
            engine=self.script,
            async_engine=AsyncScriptedEngine(self.script),
            cache=False,
            num_retries=0,
            **kwargs,
        )

    @property
    def requests(self) -> list[Request]:
        return self.script.requests


def is_fusor(request: Request) -> bool:
    """Whether a request shows candidates."""
    return "candidates ## ]]" in prompt_of(request)


def prompt_of(request: Request) -> str:
    """The last message of a request."""
    return request.messages[-1].text or ""


def system_of(request: Request) -> str:
    """The system text of a request."""
    system = request.system
    return system if isinstance(system, str) else "".join(part.text for part in system or ())


def answers(*texts: str, fused: str = "fused") -> Callable[[Request], dict[str, str]]:
    """Candidate i answers ``texts[i]`` (by its seed), a fusor answers ``fused``."""

    def answer(request: Request) -> dict[str, str]:
        return {"answer": fused if is_fusor(request) else texts[(request.config.seed or 0) % len(texts)]}

    return answer


def slow(seconds: float, answer: Callable[[Request], Any], when: Callable[[Request], bool]) -> Callable[[Request], Any]:
    """Waits before those answers for which ``when`` holds."""

    def wait(request: Request) -> Any:
        if when(request):
            time.sleep(seconds)
        return answer(request)

    return wait


def pytest_configure() -> None:
    """A shell has what it starts in the background ignore Ctrl-C; tests interrupt programs, whoever started them."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection() -> None:
    """What is imported from here on stays, and is not looked through for garbage."""
    gc.disable()


def pytest_collection_finish() -> None:
    """Tests are run as programs are."""
    gc.freeze()
    gc.enable()


@pytest.fixture(autouse=True)
def fresh_settings() -> Iterator[None]:
    """No LM, no adapter, no callback, an empty trace, no history, MLflow's own store and no experiment in it: for a
    test, and for what a module's fixtures make before the next one.
    """
    _forget_settings()
    yield
    _forget_settings()


def _forget_settings() -> None:
    dspy.configure(
        lm=None, adapter=None, trace=[], callbacks=[], usage_tracker=None, track_usage=False, disable_history=True
    )
    if "mlflow" in sys.modules:
        sys.modules["mlflow"].set_tracking_uri(None)
    if "mlflow.tracking.fluent" in sys.modules:
        sys.modules["mlflow.tracking.fluent"]._active_experiment_id = None  # it is in no other test's store


@pytest.fixture(autouse=True)
def fresh_addresses() -> Iterator[None]:
    """What a process remembers of an address is gone for the next test, whose server may get the same free port."""
    yield
    package = "dspy_fusion.{}".format
    if refusals := sys.modules.get(package("programs.calls.refused_options")):
        refusals.forget_refusals()
    if affinity := sys.modules.get(package("serving.replicas.affinity")):
        affinity._same.cache_clear()
        sys.modules[package("serving.replicas.endpoints")]._endpoints.clear()
    if gpu_time := sys.modules.get(package("serving.replicas.gpu_time")):
        gpu_time._clocks.clear()


@pytest.fixture
def plain_adapter() -> None:
    """Models are asked in plain text, as the small ones that are trained here have to be."""
    from dspy_fusion.programs import PlainAdapter

    dspy.configure(adapter=PlainAdapter())


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint that is to be trained: the embedded model ``sft``."""
    from dspy_fusion.serving.embedded.huggingface import to_huggingface

    return to_huggingface("sft", tmp_path_factory.mktemp("base"))


@pytest.fixture(autouse=True)
def fresh_environment() -> Iterator[None]:
    """What a test or a library put into the environment is gone for the next test, whichever that is."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def siblings_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls that are to be one request wait for each other as long as threads need to begin on a busy machine."""
    monkeypatch.setattr("dspy_fusion.serving.replicas.gathered_requests._LONGEST_SECONDS_FOR_SIBLINGS", 20.0)
