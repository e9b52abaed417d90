"""When nobody waits any more, no thread and no socket is left: after a deadline, after Ctrl-C, over every client."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import dspy
import pytest
from dspy.clients._litellm import get_litellm
from waiting import wait_for

from dspy_fusion.programs import QuorumNotMet, Vote
from dspy_fusion.serving import ModelEntry

from .conftest import workers
from .slow_server import BEGUN, SlowServer, slow_server

PROCESS_WITHIN_SECONDS = 180  # to its very end, on a busy machine; an idle one takes 1 to 4
KEY = {"api_key": "none", "cache": False}
MODELS: dict[str, Callable[[str], dspy.LM]] = {
    "native": lambda url: dspy.LM("hosted_vllm/m", engine="lm15", api_base=url, **KEY),
    "litellm": lambda url: dspy.LM("hosted_vllm/m", engine="litellm", api_base=url, **KEY),
    "the openai SDK": lambda url: dspy.LM("openai/m", engine="litellm", api_base=url, **KEY),
    "several addresses": lambda url: ModelEntry("openai/m", addresses=(url, f"{url}/")).lm(),
    "one request": lambda url: ModelEntry("hosted_vllm/m", address=url).lm(together=True),
}


class Wrapped(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.ask = dspy.Predict("question -> answer")

    def forward(self, question: str) -> dspy.Prediction:
        return self.ask(question=question)


@pytest.fixture(scope="module", autouse=True)
def imported() -> None:
    """Threads that import litellm for the first time have no connection yet, and come to no end before that."""
    get_litellm(feature="this test")


def nothing_is_left(server: SlowServer) -> None:
    wait_for(lambda: workers() == 0 and not server.open, "threads or sockets are left")


@pytest.mark.parametrize("way", ["called", "awaited", "within a module"])
@pytest.mark.parametrize("mode", BEGUN)
@pytest.mark.parametrize("model", MODELS)
def test_a_deadline_ends_connections(model: str, mode: str, way: str) -> None:
    task = Vote(Wrapped(), n=2, signature="question -> answer") if way == "within a module" else Wrapped().ask
    with slow_server(mode) as server:
        program = Vote(task, n=3, lms=[MODELS[model](server.address)], deadline_seconds=0.6)
        with pytest.raises(QuorumNotMet, match=r"(no answer|not begun) within 0\.6 s"):
            asyncio.run(program.acall(question="q")) if way == "awaited" else program(question="q")
        nothing_is_left(server)


def interrupt(server: SlowServer) -> None:
    """As Ctrl-C when all candidates are asked for, of which the system told another thread than the main one."""
    with suppress(AssertionError):
        wait_for(lambda: len(server.open) >= 3)
    signal.pthread_kill(threading.get_ident(), signal.SIGINT)


@pytest.mark.parametrize("mode", BEGUN)
@pytest.mark.parametrize("model", ["native", "litellm", "the openai SDK"])
def test_an_interrupt_ends_connections(model: str, mode: str) -> None:
    """In a process that lives on, such as a notebook's."""
    with slow_server(mode) as server:
        program = Vote(dspy.Predict("question -> answer"), n=3, lms=[MODELS[model](server.address)])
        interrupting = threading.Thread(target=interrupt, args=(server,))
        interrupting.start()
        with pytest.raises(KeyboardInterrupt):
            program(question="q")
        interrupting.join()
        nothing_is_left(server)


SCRIPT = """
import dspy
from dspy_fusion.programs import Vote
lm = dspy.LM("openai/m", engine="{engine}", api_base="{address}", api_key="none", cache=False)
print("asked", flush=True)
Vote(dspy.Predict("question -> answer"), n=3, lms=[lm])(question="q")
"""


@pytest.mark.parametrize("engine", ["lm15", "litellm"])
@pytest.mark.parametrize("mode", ["hang", "drip"])
def test_ctrl_c_ends_a_process(mode: str, engine: str) -> None:
    with slow_server(mode) as server:
        code = SCRIPT.format(engine=engine, address=server.address)
        process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)
        wait_for(lambda: len(server.open) >= 3, "the process does not ask", seconds=180)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=PROCESS_WITHIN_SECONDS)
        assert "KeyboardInterrupt" in errors.splitlines()[-1]
        wait_for(lambda: not server.open, "sockets are left")


COMPARE = """
task = "worksheets"
examples = 4
n = 3
models = "models.toml"
[pools]
default = ["slow"]
[[strategy]]
name = "vote"
program = "vote"
pool = "default"
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("mode", ["hang", "drip"])
def test_a_comparison_ends_with_its_connections(mode: str, number: signal.Signals, tmp_path: Path) -> None:
    with slow_server(mode) as server:
        table = f'[slow]\nmodel = "openai/m"\naddress = "{server.address}"\n'
        (tmp_path / "models.toml").write_text(table)
        (tmp_path / "run.toml").write_text(COMPARE)
        command = [sys.executable, "-m", "dspy_fusion.experiments", "compare", "run.toml", "--out", "run"]
        process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        wait_for(lambda: len(server.open) >= 3, "the comparison does not ask", seconds=180)
        process.send_signal(number)
        _, errors = process.communicate(timeout=PROCESS_WITHIN_SECONDS)
        assert process.returncode == 130, errors
        assert "Traceback" not in errors
        wait_for(lambda: not server.open, "sockets are left")


@pytest.mark.parametrize(
    "options",
    [["diagnose", "--task", "worksheets", "--models", "slow", "--examples", "4", "--n", "2"],
     ["judge-check", "pairs.jsonl", "--judge", "slow"]],
)  # fmt: skip
def test_what_else_asks_models_ends_with_its_connections(options: list[str], tmp_path: Path) -> None:
    with slow_server("hang") as server:
        (tmp_path / "models.toml").write_text(f'[slow]\nmodel = "openai/m"\naddress = "{server.address}"\n')
        pair = {"input": "Say a river.", "output_1": "The Rhine.", "output_2": "Blue.", "label": 1}
        (tmp_path / "pairs.jsonl").write_text("".join(json.dumps({**pair, "input": f"{i}"}) + "\n" for i in range(4)))
        command = [sys.executable, "-m", "dspy_fusion.experiments", *options]
        process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            wait_for(lambda: len(server.open) >= 3 or process.poll() is not None, "it does not ask", seconds=180)
            assert process.poll() is None, process.communicate()[1]
            process.send_signal(signal.SIGTERM)
            _, errors = process.communicate(timeout=PROCESS_WITHIN_SECONDS)
        finally:
            process.kill()
        assert process.returncode == 130, errors
        assert "Traceback" not in errors
        wait_for(lambda: not server.open, "sockets are left")
