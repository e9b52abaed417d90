from __future__ import annotations

import asyncio
import copy
import itertools
import logging
import pickle
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import dspy
import pytest
from switch_server import SwitchServer, switch_server

from dspy_fusion.programs import BestOfN, PlainAdapter
from dspy_fusion.programs.banks.bank import CandidateBank
from dspy_fusion.programs.calls.metering import Meter
from dspy_fusion.programs.errors import ConfigurationError
from dspy_fusion.serving.catalogue.models import load_models
from dspy_fusion.serving.catalogue.probe_report import Finding, ProbeReport, keep_report
from dspy_fusion.serving.replicas import gathered_requests
from dspy_fusion.serving.replicas.gathered_requests import Gathering, Group
from dspy_fusion.serving.replicas.together import TogetherLM, shares

pytestmark = pytest.mark.usefixtures("siblings_wait")


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine, too, one request waits for all who belong to it."""
    monkeypatch.setattr(gathered_requests, "_LONGEST_SECONDS_FOR_SIBLINGS", 30.0)


@pytest.fixture
def server() -> Iterator[SwitchServer]:
    with switch_server() as running:
        yield running


def together(server: SwitchServer, **options: Any) -> TogetherLM:
    connection = {"api_base": server.address, "api_key": "none"}
    return TogetherLM("hosted_vllm/m", connection=connection, **{"cache": False, "num_retries": 0, **options})


def drawing(lm: dspy.LM, n: int, **options: Any) -> BestOfN:
    return BestOfN(dspy.Predict("question -> answer"), n=n, lms=[lm], scorer=lambda args, prediction: 0.5, **options)


def pool_of(program: BestOfN, *, awaited: bool = False) -> Any:
    with dspy.context(adapter=PlainAdapter()):
        return (asyncio.run(program.acall(question="q")) if awaited else program(question="q")).pool


@pytest.mark.parametrize("awaited", [False, True])
def test_the_candidates_of_a_question_are_one_request(server: SwitchServer, awaited: bool) -> None:
    pool = pool_of(drawing(together(server), 6), awaited=awaited)
    assert [body["n"] for body in server.bodies] == [6]
    assert len({candidate.prediction.answer for candidate in pool.good}) == 6
    assert [candidate.index for candidate in pool.candidates] == list(range(6))


class _SlowForOne(PlainAdapter):
    """Writes the prompt of one candidate later than those of its siblings, as a busy machine does."""

    def __init__(self) -> None:
        super().__init__()
        self._calls = itertools.count()

    def format(self, *args: Any, **kwargs: Any) -> Any:
        if next(self._calls) == 1:
            time.sleep(0.08)
        return super().format(*args, **kwargs)


def test_who_is_late_is_waited_for(server: SwitchServer) -> None:
    with dspy.context(adapter=_SlowForOne()):
        pool = drawing(together(server), 4)(question="q").pool
    assert ([body["n"] for body in server.bodies], len(pool.good)) == ([4], 4)


def test_the_request_is_billed_once(server: SwitchServer) -> None:
    pool = pool_of(drawing(together(server), 5))
    prompt = sum(len(message["content"].split()) for message in server.bodies[0]["messages"])
    assert (pool.total.calls, pool.total.tokens_in, pool.total.tokens_out) == (5, prompt, 40)
    assert sorted(candidate.usage.tokens_in for candidate in pool.candidates) == [0, 0, 0, 0, prompt]


def test_one_bad_completion_costs_its_candidate_alone(server: SwitchServer) -> None:
    drawn = server.choice
    server.choice = lambda body, index: drawn(body, index) | ({"finish_reason": "length"} if index == 2 else {})  # type: ignore[method-assign]
    pool = pool_of(drawing(together(server), 4))
    assert (len(server.bodies), len(pool.good)) == (1, 3)
    assert "token limit" in next(candidate.error for candidate in pool.candidates if not candidate.ok)


def test_a_bank_has_only_what_is_missing_drawn(server: SwitchServer, tmp_path: Path) -> None:
    bank, lm = CandidateBank(f"sqlite:///{tmp_path / 'bank.db'}"), together(server)
    first, second = (pool_of(drawing(lm, n, bank=bank)) for n in (3, 8))
    assert [body["n"] for body in server.bodies] == [3, 5]
    assert [c.prediction.answer for c in second.candidates[:3]] == [c.prediction.answer for c in first.candidates]


def test_a_server_that_ignores_n_is_asked_for_the_others_one_by_one(server: SwitchServer) -> None:
    server.n = "ignore"
    pool = pool_of(drawing(together(server), 4))
    assert sorted(body["n"] for body in server.bodies) == [1, 1, 1, 4]
    assert len({candidate.prediction.answer for candidate in pool.good}) == 4


def test_a_failure_is_every_candidates_and_is_tried_again_together(server: SwitchServer) -> None:
    server.status = 500
    with pytest.raises(Exception, match="0 of 3 candidates"):
        pool_of(drawing(together(server, num_retries=1), 3))
    assert [body["n"] for body in server.bodies] == [3, 3]


def test_different_prompts_and_greedy_calls_are_requests_of_their_own(server: SwitchServer) -> None:
    lm = together(server)

    async def ask() -> None:
        await asyncio.gather(
            *(lm.acall(f"question {i}", temperature=1.0) for i in range(3)), lm.acall("q", temperature=0), lm.acall("q")
        )

    asyncio.run(ask())
    assert [body["n"] for body in server.bodies] == [1] * 5


def test_others_do_not_go_down_with_a_leader_that_is_cancelled(server: SwitchServer) -> None:
    lm, server.held_after = together(server), 0

    async def ask() -> list[Any]:
        leader, *others = [asyncio.ensure_future(lm.acall("q", temperature=1.0, seed=i)) for i in range(3)]
        while not server.bodies:
            await asyncio.sleep(0.01)
        leader.cancel()
        await asyncio.wait([leader])
        server.released.set()
        return await asyncio.gather(leader, *others, return_exceptions=True)

    cancelled, *answers = asyncio.run(ask())
    assert isinstance(cancelled, asyncio.CancelledError)
    assert all(len(answer[0].split()) == 8 for answer in answers)


def test_a_deadline_leaves_nobody_waiting(server: SwitchServer) -> None:
    lm, server.held_after = together(server), 0
    with pytest.raises(Exception, match="DeadlineExceeded"):
        pool_of(drawing(lm, 3, deadline_seconds=0.3))


@pytest.mark.filterwarnings("error::DeprecationWarning")
def test_a_limit_and_a_fallback_are_kept_to(server: SwitchServer) -> None:
    with switch_server(status=500) as dead:
        lm = together(dead, max_concurrency=2, fallback=together(server, max_concurrency=2))
        assert len(pool_of(drawing(lm, 4)).good) == 4
        assert max(body["n"] for body in dead.bodies) <= 2
        assert sum(body["n"] for body in server.bodies) == 4
    assert max(body["n"] for body in server.bodies) == 2


def test_copies_gather_together_and_are_saved_as_a_plain_model(server: SwitchServer) -> None:
    lm = together(server, temperature=0.5)
    assert copy.deepcopy(lm).engine is lm.copy(seed=1).engine is lm.engine
    sent = pickle.loads(pickle.dumps(lm))
    assert sent.engine._gathering is sent._async_engine_spec._gathering
    assert sent("q")
    loaded = dspy.LM.load_state(lm.dump_state())
    assert (type(loaded), loaded.engine, loaded.kwargs["temperature"]) == (dspy.LM, "litellm", 0.5)
    assert server.address not in str(lm.dump_state())


CASES = [
    ("one_request = true", "honoured", True),
    ("one_request = true", "ignored", False),
    ("one_request = true", "", False),
    ("price = { input = 1, output = 2 }", "honoured", True),
    ("price = { input = 1, output = 2 }", "ignored", False),
    ("price = { input = 1, output = 2 }\none_request = false", "honoured", False),
    ("", "honoured", False),
    ('price = { input = 1 }\nengine = "native"', "honoured", False),
]


@pytest.mark.parametrize(("keys", "verdict", "wanted"), CASES)
def test_the_probe_decides(
    tmp_path: Path,
    keys: str,
    verdict: str,
    wanted: bool,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))  # what was found earlier on this machine is not asked
    address = f"http://{uuid.uuid4().hex}/v1"  # what is said of an address is said once
    (tmp_path / "models.toml").write_text(f'[m]\nmodel = "openai/m"\naddress = "{address}"\n{keys}\n')
    for engine in ("litellm", "native") if verdict else ():
        keep_report(ProbeReport("openai/m", address, engine, "2026-11-27", {"n": Finding(verdict)}))
    with caplog.at_level(logging.WARNING):
        assert (type(load_models(tmp_path / "models.toml").lm("m")) is TogetherLM) is wanted
    assert ("waits for a probe" in caplog.text) is ("= true" in keys and not wanted)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ('addresses = ["http://a/v1", "http://b/v1"]', "several addresses"),
        ('engine = "native"', 'an engine other than "litellm"'),
        ("sampling = { min_p = 0.1 }", "the sampling option min_p"),
    ],
)
def test_what_stands_in_the_way_is_named(tmp_path: Path, keys: str, message: str) -> None:
    (tmp_path / "models.toml").write_text(f'[m]\nmodel = "openai/m"\none_request = true\n{keys}\n')
    with pytest.raises(ConfigurationError, match=rf"\[m\] one_request = true does not go with .*{message}"):
        load_models(tmp_path / "models.toml")


def test_shares_add_up() -> None:
    assert shares(40, [10, 10, 20]) == [10, 10, 20]
    assert sum(shares(7, [1, 1, 1])) == sum(shares(7, [0, 0])) == 7


def test_those_who_are_still_wanted_ask_by_themselves_where_nobody_waits_for_the_leader() -> None:
    gathering, meter = Gathering(), Meter(limited=False)
    group, other = gathering.join("the same"), gathering.join("the same")
    assert isinstance(group, Group)
    assert isinstance(other, Future)
    meter.give_up()  # its deadline, which is not theirs
    with dspy.context(usage_tracker=meter):
        group.fail(dspy.LMTransportError("the connection was ended from here"))
    assert other.result(timeout=5) is None
