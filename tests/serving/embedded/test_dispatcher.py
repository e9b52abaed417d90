"""Jobs in processes of their own: the same answers, and nothing left behind however anything ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from dspy_fusion.serving.embedded.dispatcher import Dispatcher
from dspy_fusion.serving.embedded.embedded_model import EmbeddedModel
from dspy_fusion.serving.embedded.jobs import Job
from dspy_fusion.serving.embedded.token_sampling import Sampling

pytestmark = pytest.mark.skipif(os.name != "posix", reason="lanes need POSIX")


@pytest.fixture
def dispatcher(model: EmbeddedModel) -> Iterator[Dispatcher]:
    dispatcher = Dispatcher(lanes=2, jobs_before_lanes=0)
    answers(dispatcher, model, range(8))
    wait_until(lambda: len(dispatcher.process_ids) == 2)
    yield dispatcher
    dispatcher.stop()


def job(model: EmbeddedModel, seed: int, on_token: Callable[[int], None] | None = None, **options) -> Job:
    prompt = model.tokenizer.prompt("Answer the question.", f"question {seed % 5}")
    return Job(prompt, Sampling(**{"max_tokens": 40, "seed": seed, **options}), model.tokenizer.decode, on_token)


def begin(dispatcher: Dispatcher, model: EmbeddedModel, jobs: list[Job]) -> list[Job]:
    for each in jobs:
        dispatcher.submit(model.errand(each))
    return jobs


def answers(dispatcher: Dispatcher, model: EmbeddedModel, seeds: range) -> list[str]:
    return [each.answer.result(timeout=120).text for each in begin(dispatcher, model, [job(model, s) for s in seeds])]


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def is_gone(process: int) -> bool:
    """Also where nobody has asked for its exit code yet."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


@contextmanager
def held(dispatcher: Dispatcher) -> Iterator[None]:
    """Lanes that stand still meanwhile, so that what they are given is not finished."""
    processes = dispatcher.process_ids
    for process in processes:
        os.kill(process, signal.SIGSTOP)
    yield
    for process in processes:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGCONT)


def test_lanes_write_what_the_thread_writes(dispatcher: Dispatcher, model: EmbeddedModel) -> None:
    here = Dispatcher(lanes=0)
    assert answers(dispatcher, model, range(60)) == answers(here, model, range(60))
    here.stop()


def test_a_request_without_a_seed_varies(dispatcher: Dispatcher, model: EmbeddedModel) -> None:
    prompt = model.tokenizer.prompt("Answer the question.", "question")
    jobs = begin(dispatcher, model, [Job(prompt, Sampling(40), model.tokenizer.decode) for _ in range(6)])
    assert len({each.answer.result(timeout=120).text for each in jobs}) == 6


def test_tokens_and_their_scores_arrive_one_by_one(dispatcher: Dispatcher, model: EmbeddedModel) -> None:
    counts: list[int] = []
    (streamed,) = begin(dispatcher, model, [job(model, 3, counts.append, logprobs=2)])
    answer = streamed.answer.result(timeout=120)
    assert counts == list(range(1, len(counts) + 1))
    assert len(counts) in (len(answer.tokens), len(answer.tokens) - 1)  # the last one comes with the answer
    assert streamed.tokens == list(answer.tokens[: len(counts)])
    assert streamed.scores == list(answer.scores[: len(counts)])


def test_a_cancelled_request_is_dropped(dispatcher: Dispatcher, model: EmbeddedModel) -> None:
    with held(dispatcher):
        gone, kept = begin(dispatcher, model, [job(model, 1, max_tokens=250), job(model, 2, max_tokens=250)])
        gone.cancel()
    with pytest.raises(CancelledError):
        gone.answer.result(timeout=120)
    assert kept.answer.result(timeout=120).text


def test_a_bad_request_fails_and_the_next_is_answered(dispatcher: Dispatcher, model: EmbeddedModel) -> None:
    bad = Job([10**6], Sampling(5), model.tokenizer.decode)
    dispatcher.submit(model.errand(bad))
    with pytest.raises(IndexError, match="out of bounds"):
        bad.answer.result(timeout=120)
    assert all(answers(dispatcher, model, range(4)))


def test_a_killed_lane_costs_no_answer(dispatcher: Dispatcher, model: EmbeddedModel) -> None:
    expected = answers(dispatcher, model, range(100, 180))
    killed = dispatcher.process_ids
    jobs = begin(dispatcher, model, [job(model, seed) for seed in range(100, 180)])
    os.kill(killed[0], signal.SIGKILL)
    assert [each.answer.result(timeout=120).text for each in jobs] == expected
    assert answers(dispatcher, model, range(4))
    wait_until(lambda: killed[0] not in dispatcher.process_ids)


def test_one_core_needs_no_lane(model: EmbeddedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0}, raising=False)
    dispatcher = Dispatcher(jobs_before_lanes=0)
    assert all(answers(dispatcher, model, range(20)))
    assert dispatcher.process_ids == ()
    dispatcher.stop()


def test_where_no_process_can_be_started_the_thread_works(
    model: EmbeddedModel, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    dispatcher = Dispatcher(lanes=2, jobs_before_lanes=0)
    assert all(answers(dispatcher, model, range(20)))
    assert "no further process can be started" in caplog.text
    dispatcher.stop()


def test_stopped_lanes_are_gone_and_the_next_request_begins_anew(dispatcher: Dispatcher, model: EmbeddedModel) -> None:
    processes = dispatcher.process_ids
    with held(dispatcher):
        (unfinished,) = begin(dispatcher, model, [job(model, 1, max_tokens=250)])
        dispatcher.stop()
    assert all(map(is_gone, processes))
    with pytest.raises(RuntimeError, match="the process ended before the answer was finished"):
        unfinished.answer.result(timeout=120)
    assert all(answers(dispatcher, model, range(4)))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_leaves_the_lanes_to_its_parent(dispatcher: Dispatcher, model: EmbeddedModel) -> None:
    expected = answers(dispatcher, model, range(5))
    for _ in range(5):
        jobs = begin(dispatcher, model, [job(model, seed) for seed in range(20)])
        child = os.fork()
        if child == 0:
            same = answers(dispatcher, model, range(5)) == expected
            os._exit(0 if same and not dispatcher.process_ids else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert all(each.answer.result(timeout=120).text for each in jobs)
    assert len(dispatcher.process_ids) == 2


_SCRIPT = """
import sys, time
from dspy_fusion.serving.embedded.dispatcher import dispatcher
from dspy_fusion.serving.embedded.embedded_model import load_model
from dspy_fusion.serving.embedded.token_sampling import Sampling
dispatcher.lanes = 2
model = load_model(sys.argv[1])
for job in [model.submit([1, 2, 3], Sampling(50)) for _ in range(100)]:
    job.answer.result()
while len(dispatcher.process_ids) < 2:
    time.sleep(0.02)
jobs = [model.submit([1, 2, 3], Sampling(300)) for _ in range(500)]
print(*dispatcher.process_ids, flush=True)
if sys.argv[2] == "wait":
    time.sleep(300)
"""


def test_unfinished_requests_in_lanes_let_the_process_exit(weights_path: Path) -> None:
    command = [sys.executable, "-c", _SCRIPT, str(weights_path), "exit"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert all(is_gone(int(process)) for process in done.stdout.split())


def test_lanes_end_with_a_killed_parent(weights_path: Path) -> None:
    command = [sys.executable, "-c", _SCRIPT, str(weights_path), "wait"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        processes = [int(process) for process in parent.stdout.readline().split()]
        parent.kill()
    assert len(processes) == 2
    wait_until(lambda: all(map(is_gone, processes)))


def test_a_job_that_is_handed_to_a_lane_as_it_ends_is_answered_elsewhere(model: EmbeddedModel) -> None:
    dispatcher = Dispatcher(lanes=1, jobs_before_lanes=0)
    expected = answers(dispatcher, model, range(8))
    wait_until(lambda: len(dispatcher.process_ids) == 1)
    (process,) = dispatcher.process_ids

    class KillsItsLane(Job):
        """Its prompt is looked at when a lane has been chosen for it."""

        @property
        def prompt(self) -> tuple[int, ...]:
            if is_submitted and Path(f"/proc/{process}").exists():
                os.kill(process, signal.SIGKILL)
                wait_until(lambda: not Path(f"/proc/{process}").exists())
                time.sleep(0.2)  # until the lane has given up what it had
            return self._prompt

        @prompt.setter
        def prompt(self, prompt: tuple[int, ...]) -> None:
            self._prompt = prompt

    is_submitted = False
    plain = job(model, 0)
    late = KillsItsLane(plain.prompt, plain.sampling, model.tokenizer.decode)
    is_submitted = True
    dispatcher.submit(model.errand(late))
    assert late.answer.result(timeout=60).text == expected[0]
    dispatcher.stop()


def test_whoever_still_waits_for_a_place_is_told_of_a_stop(model: EmbeddedModel) -> None:
    dispatcher = Dispatcher(lanes=0)
    jobs = begin(dispatcher, model, [job(model, seed, max_tokens=250) for seed in range(200)])
    dispatcher.stop()
    failures = [each.answer.exception(timeout=60) for each in jobs]
    assert str(failures[-1]) == "the process ended before the answer was finished"
    assert all(answers(dispatcher, model, range(4)))
    dispatcher.stop()
