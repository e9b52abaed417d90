from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dspy_fusion.serving.embedded.embedded_model import EmbeddedModel
from dspy_fusion.serving.embedded.token_sampling import Sampling


def answer(model: EmbeddedModel, seed: int) -> str:
    prompt = model.tokenizer.prompt("Answer the question.", f"question {seed % 3}")
    return model.submit(prompt, Sampling(30, seed=seed)).answer.result(timeout=60).text


def test_threads_get_the_answers_of_their_own_requests(model: EmbeddedModel) -> None:
    with ThreadPoolExecutor(16) as threads:
        together = list(threads.map(lambda seed: answer(model, seed), range(100)))
    assert together == [answer(model, seed) for seed in range(100)]


def test_a_bad_request_fails_and_the_next_is_answered(model: EmbeddedModel) -> None:
    with pytest.raises(IndexError, match="out of bounds"):
        model.submit([10**6], Sampling(5)).answer.result(timeout=60)
    assert answer(model, 1)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_forked_processes_answer_too(model: EmbeddedModel) -> None:
    expected = answer(model, 1)
    for _ in range(10):  # at whatever the parent's thread is just then
        assert answer(model, 1) == expected
        assert answer_of_a_fork(model) == expected


def answer_of_a_fork(model: EmbeddedModel) -> str:
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(write_end, answer(model, 1).encode())
        finally:
            os._exit(0)
    os.close(write_end)
    os.waitpid(child, 0)
    with os.fdopen(read_end) as pipe:
        return pipe.read()


def test_a_process_with_unfinished_requests_exits_cleanly(weights_path: Path) -> None:
    script = (
        "import sys; from dspy_fusion.serving.embedded.embedded_model import load_model\n"
        "from dspy_fusion.serving.embedded.token_sampling import Sampling\n"
        "jobs = [load_model(sys.argv[1]).submit([1, 2, 3], Sampling(300)) for _ in range(100)]\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, weights_path], capture_output=True, text=True, timeout=300, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
