"""A GGUF file is a model: what it answers, what its candidates cost, and what becomes of its server."""

from __future__ import annotations

import copy
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

import dspy
import pytest

from dspy_fusion.programs import ConfigurationError, PlainAdapter, Vote
from dspy_fusion.serving.embedded.embedded_lm import embedded_lm
from dspy_fusion.serving.local.llama_server import LocalServerDied
from dspy_fusion.serving.local.local_lm import local_lm

SHEET = "(a) 4 + 3\n(b) 9 - 5\n(c) 6 x 2\n(d) 8 + 1"
OTHER = "(a) 14 + 13\n(b) 19 - 15\n(c) 7 x 3\n(d) 18 + 11"


def prompt_tokens(lm: Any) -> int:
    """How many prompt tokens the server has read so far."""
    with urllib.request.urlopen(f"{lm.engine.server.address()}/metrics", timeout=30) as reply:
        lines = reply.read().decode().splitlines()
    return next(int(float(line.split()[-1])) for line in lines if line.startswith("llamacpp:prompt_tokens_total"))


def test_it_answers_as_the_same_model_in_this_process(lm: Any, solve: dspy.Module) -> None:
    with dspy.context(adapter=PlainAdapter()):
        answers = [
            solve(worksheet=SHEET, lm=model.copy(temperature=0)).answers
            for model in (lm, embedded_lm("sft", max_tokens=64))
        ]
    assert answers[0] == answers[1]
    assert lm.model.startswith("local/sft@")


def test_candidates_cost_one_prompt_and_keep_their_seeds(lm: Any, solve: dspy.Module) -> None:
    with dspy.context(adapter=PlainAdapter(), lm=lm):
        before = prompt_tokens(lm)
        pool = Vote(solve, n=8, temperature=1.0, seed=11)(worksheet=SHEET).pool
        together = prompt_tokens(lm) - before
        alone = [solve(worksheet=SHEET, config={"temperature": 1.0, "seed": 11 + i}).answers for i in range(3)]
    assert [candidate.prediction.answers for candidate in pool.candidates[:3]] == alone
    assert together <= 0.4 * 8 * max(candidate.usage.tokens_in for candidate in pool.candidates)
    assert all(candidate.usage.tokens_out > 10 for candidate in pool.candidates)


def test_a_stream_ends_with_the_whole_answer(lm: Any, solve: dspy.Module) -> None:
    import asyncio

    async def pieces() -> list[Any]:
        return [piece async for piece in dspy.streamify(solve)(worksheet=OTHER)]

    with dspy.context(adapter=PlainAdapter(), lm=lm.copy(temperature=0)):
        *_, last = asyncio.run(pieces())
        assert last.answers == solve(worksheet=OTHER).answers


def test_log_probabilities_come_along(lm: Any, solve: dspy.Module) -> None:
    from dspy_fusion.programs import BestOfN, Likelihood

    with dspy.context(adapter=PlainAdapter(), lm=lm):
        pool = BestOfN(solve, n=2, scorer=Likelihood(), temperature=1.0)(worksheet=SHEET).pool
    assert all(candidate.logprob is not None and candidate.logprob < 0 for candidate in pool.candidates)


def test_awaited_calls_answer_too(lm: Any, solve: dspy.Module) -> None:
    import asyncio

    with dspy.context(adapter=PlainAdapter(), lm=lm.copy(temperature=0)):
        assert asyncio.run(solve.acall(worksheet=SHEET)).answers == solve(worksheet=SHEET).answers


def test_one_server_serves_every_lm_over_a_file(gguf: Path, lm: Any) -> None:
    twin = local_lm(gguf, context=512, parallel=8, threads=1, temperature=0.5)
    assert twin.engine.server is lm.engine.server
    assert copy.deepcopy(lm).engine.server is lm.engine.server


def test_a_killed_server_is_started_again_once(gguf: Path, solve: dspy.Module) -> None:
    model = local_lm(gguf, context=256, parallel=1, threads=1, max_tokens=64, temperature=0)
    server = model.engine.server
    with dspy.context(adapter=PlainAdapter(), lm=model):
        first = solve(worksheet=SHEET).answers
        os.kill(server.process_id, signal.SIGKILL)
        assert solve(worksheet=SHEET).answers == first
    os.kill(server.process_id, signal.SIGKILL)
    server._process.wait()
    server.address()
    os.kill(server.process_id, signal.SIGKILL)
    server._process.wait()
    with pytest.raises(LocalServerDied, match=r"sft.gguf: llama.cpp ended with code -9"):
        server.address()
    server.close()


def test_the_server_ends_with_its_owner_however_that_ends(gguf: Path) -> None:
    code = (
        "import sys, time; from dspy_fusion.serving.local.local_lm import local_lm; "
        f"server = local_lm({str(gguf)!r}, context=256, parallel=1, threads=1).engine.server; server.address(); "
        "print(server.process_id, flush=True); time.sleep(600)"
    )
    owner = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    child = int(owner.stdout.readline())
    owner.kill()
    owner.wait()
    end = time.monotonic() + 120
    while Path(f"/proc/{child}").exists() and time.monotonic() < end:
        time.sleep(0.05)
    assert not Path(f"/proc/{child}").exists()


def test_ctrl_c_reaches_the_server_through_its_owner_alone(gguf: Path) -> None:
    code = (
        "import time; from dspy_fusion.serving.local.local_lm import local_lm\n"
        f"server = local_lm({str(gguf)!r}, context=256, parallel=1, threads=1).engine.server\n"
        "try:\n    print(server.address(), flush=True); time.sleep(120)\n"
        "except KeyboardInterrupt:\n    time.sleep(1); print(server.is_alive)"
    )
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline().startswith("http")
        os.killpg(owner.pid, signal.SIGINT)  # as a terminal does
        assert owner.stdout.read() == "True\n"


def test_a_server_that_never_answers_can_be_closed(gguf: Path) -> None:
    server = local_lm(gguf, context=256, parallel=1, threads=2).engine.server
    failures: list[Exception] = []

    def start() -> None:
        try:
            server.address()
        except ConfigurationError as error:
            failures.append(error)

    starting = threading.Thread(target=start, daemon=True)
    starting.start()
    while server.process_id is None:
        time.sleep(0.001)
    os.kill(server.process_id, signal.SIGSTOP)  # before it has read its options
    closing = threading.Thread(target=server.close, daemon=True)
    closing.start()
    closing.join(timeout=60)
    if closing.is_alive():
        os.kill(server.process_id, signal.SIGKILL)
    assert not closing.is_alive()
    starting.join(timeout=60)
    assert "cannot run sft.gguf" in str(failures[0])
    assert server.address()
    server.close()


def test_a_saved_model_is_the_same_model_again(lm: Any, solve: dspy.Module, tmp_path: Path) -> None:
    solve.set_lm(lm)
    solve.save(tmp_path / "solve.json")
    loaded = dspy.Predict("worksheet -> answers")
    loaded.load(tmp_path / "solve.json", allow_unsafe_lm_state=True)
    assert isinstance(loaded.lm, dspy.LM)
    assert loaded.lm.model == lm.model
    assert getattr(loaded.lm.engine, "server", None) is lm.engine.server


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"context": 4096}, r"context=4096 is longer than the 1024 tokens that sft.gguf was trained on; give at most"),
        ({"parallel": 0}, "parallel must be a whole number from 1, but got parallel=0"),
        ({"sha256": "0" * 64}, r"sft.gguf has the SHA-256 [0-9a-f]{64}, but 0{64} was expected"),
        ({"context": 1024, "parallel": 10**7}, r"needs about [\d.]+ GB of memory .* GB are free; lower them"),
        ({"lora": ["none.gguf"]}, "there is no LoRA adapter .*none.gguf"),
    ],
)
def test_what_cannot_work_is_said_before_anything_is_loaded(gguf: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        local_lm(gguf, **{"context": 512, **options})


@pytest.mark.parametrize(
    "content", [b"", b"no model at all", b"GGUF\x03\0\0\0" + b"\xff" * 64, b"GGUF\x03\0\0\0" + bytes(16)]
)
def test_a_file_that_is_no_model_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.gguf"
    path.write_bytes(content)
    with pytest.raises(
        ConfigurationError, match=r"broken.gguf is (no GGUF file|a GGUF file, but of no language model)"
    ):
        local_lm(path)


def test_a_port_in_use_is_named(gguf: Path) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        model = local_lm(gguf, context=256, parallel=1, threads=1, port=taken.getsockname()[1])
        with pytest.raises(ConfigurationError, match=r"llama.cpp cannot run sft.gguf"):
            model.engine.server.address()


def test_a_name_that_is_no_model_lists_those_there_are() -> None:
    with pytest.raises(ConfigurationError, match=r"there is no model 'nope'; .* smollm2-135m, qwen2.5-coder-0.5b"):
        local_lm("nope")


def test_without_a_network_the_way_out_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    with pytest.raises(ConfigurationError, match=r"cannot download hf:a/b:c.gguf.*name that in DSPY_FUSION_MODELS"):
        local_lm("hf:a/b:c.gguf")
    with pytest.raises(ConfigurationError, match=r"'hf:a/b' is no file on the hub; write hf:owner/name:file.gguf"):
        local_lm("hf:a/b")


def test_a_folder_of_files_goes_before_the_hub(gguf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DSPY_FUSION_MODELS", str(gguf.parent))
    assert local_lm("hf:someone/sft-GGUF:sft.gguf", context=512).model.startswith("local/sft@")
