from __future__ import annotations

import asyncio
import copy
import pickle
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import dspy
import pytest
from conftest import AsyncScriptedEngine, ScriptedEngine
from dspy.utils.exceptions import LMError, LMInvalidRequestError
from switch_server import SwitchServer, switch_server
from waiting import wait_for, with_time_enough

from dspy_fusion.programs import BestOfN, Fusion
from dspy_fusion.programs.banks.bank import CandidateBank
from dspy_fusion.programs.banks.bank_keys import lm_fingerprint
from dspy_fusion.serving.catalogue.models import ModelCatalogue, load_models
from dspy_fusion.serving.replicas.affinity import affinity_of
from dspy_fusion.serving.replicas.router import RoutedLM

Started = Callable[..., list[SwitchServer]]
ENGINES = pytest.mark.parametrize("engine", ["native", "litellm"])


@pytest.fixture
def start() -> Iterator[Started]:
    with ExitStack() as running:
        yield lambda *kinds: [running.enter_context(switch_server(**kind)) for kind in kinds]


def catalogue(folder: Path, servers: list[SwitchServer], keys: str = "", rest: str = "") -> ModelCatalogue:
    addresses = ", ".join(f'"{server.address}"' for server in servers)
    (folder / "models.toml").write_text(
        f'[m]\nmodel = "openai/m"\naddresses = [{addresses}]\nengine = "native"\n{keys}\n{rest}'
    )
    return load_models(folder / "models.toml")


@ENGINES
def test_the_candidates_of_a_question_meet_one_replica(start: Started, tmp_path: Path, engine: str) -> None:
    servers = start({}, {}, {})
    lm = catalogue(tmp_path, servers).entry("m").lm().copy(engine={"native": "lm15", "litellm": "litellm"}[engine])
    with dspy.context(lm=lm, adapter=dspy.ChatAdapter(use_json_adapter_fallback=False)):
        program = BestOfN(PlainAnswer(), n=4, scorer=lambda args, prediction: 0.5, signature="question -> answer")
        for i in range(6):
            program(question=f"question {i}")
    asked = [{body["messages"][-1]["content"] for body in server.bodies} for server in servers]
    assert sum(len(server.bodies) for server in servers) == 24
    assert sum(len(prompts) for prompts in asked) == 6
    assert max(len(server.bodies) for server in servers) <= 12


class PlainAnswer(dspy.Module):
    def forward(self, question: str) -> dspy.Prediction:
        return dspy.Prediction(answer=dspy.settings.lm(question)[0])

    async def aforward(self, question: str) -> dspy.Prediction:
        return dspy.Prediction(answer=(await dspy.settings.lm.acall(question))[0])


def test_a_dead_replica_is_left_in_peace(start: Started, tmp_path: Path) -> None:
    servers = start({"status": 500}, {})
    lm = catalogue(tmp_path, servers).lm("m")
    assert all(lm(f"question {i}") for i in range(8))
    assert (len(servers[0].bodies), len(servers[1].bodies)) == (1, 8)


def test_threads_and_tasks_share_a_replicas_limit(start: Started, tmp_path: Path) -> None:
    servers = start(*[{"delay_seconds": 0.02, "at_once": 2}] * 2)
    lm = catalogue(tmp_path, servers, "max_concurrency = 2").lm("m")

    async def ask() -> None:
        await asyncio.gather(*(lm.acall(f"async {i}") for i in range(12)))

    with ThreadPoolExecutor(12) as threads:
        jobs = [threads.submit(lm, f"sync {i}") for i in range(12)]
        asyncio.run(ask())
        assert all(job.result() for job in jobs)
    assert {server.most for server in servers} == {2}
    assert {(endpoint.places.taken, endpoint.places.waiting) for endpoint in lm.affinity.endpoints} == {(0, 0)}


def test_nested_programs_do_not_wait_for_each_other(start: Started, tmp_path: Path) -> None:
    servers = start({})
    lm = catalogue(tmp_path, servers, "max_concurrency = 1").lm("m")
    signature = dspy.Signature("question -> answer")
    inner = BestOfN(PlainAnswer(), n=3, scorer=lambda args, prediction: 0.5, signature=signature)
    outer = BestOfN(inner, n=3, scorer=lambda args, prediction: 0.5, signature=signature)
    with dspy.context(lm=lm):
        assert len(outer(question="q").pool.good) == 3
        assert len(asyncio.run(outer.acall(question="q")).pool.good) == 3
    assert (len(servers[0].bodies), servers[0].most) == (18, 1)


def test_who_waits_past_the_deadline_leaves_the_queue(start: Started, tmp_path: Path) -> None:
    def within(seconds: float) -> tuple[Any, Any]:
        lm = catalogue(tmp_path, start({"held_after": 1}), "max_concurrency = 1").lm("m")
        task, options = PlainAnswer(), {"signature": "question -> answer", "deadline_seconds": seconds}
        with dspy.context(lm=lm):
            return lm, BestOfN(task, n=4, scorer=lambda a, p: 0.5, **options)(question="q").pool

    lm, pool = with_time_enough(within)
    assert len(pool.good) == 1
    assert all("DeadlineExceeded" in (candidate.error or "") for candidate in pool.candidates if not candidate.ok)
    wait_for(lambda: lm.affinity.endpoints[0].places.waiting == 0)


def test_the_fallback_answers_and_is_counted_as_itself(
    start: Started, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    dead, other = start({"status": 503}, {})
    rest = f'[o]\nmodel = "openai/other"\naddress = "{other.address}"\nengine = "native"'
    lm = catalogue(tmp_path, [dead], 'fallback = "o"', rest).lm("m").copy(num_retries=1)
    lm.affinity.endpoints[0].failed(None)
    with dspy.context(lm=lm):
        candidate = BestOfN(PlainAnswer(), n=1, scorer=lambda a, p: 0.5, signature="question -> answer")(
            question="q"
        ).pool.candidates[0]
    assert {name: usage.calls for name, usage in candidate.by_model.items()} == {"openai/m": 2, "openai/other": 1}
    assert (len(dead.bodies), other.bodies[0]["model"], other.bodies[0]["seed"]) == (2, "other", 0)
    assert "openai/other answers in the place of openai/m" in caplog.text
    assert lm("again")
    assert len(dead.bodies) == 2


def test_what_is_wrong_with_the_request_goes_to_no_other_replica(start: Started, tmp_path: Path) -> None:
    servers = start({"context": 3}, {"context": 3})
    with pytest.raises(LMInvalidRequestError, match="maximum context length is 3"):
        catalogue(tmp_path, servers).lm("m")("a prompt of five words")
    assert sum(len(server.bodies) for server in servers) == 1


def test_retries_are_made_in_one_layer(start: Started, tmp_path: Path) -> None:
    servers = start({"status": 500}, {"status": 429, "retry_after": "0"})
    lm = catalogue(tmp_path, servers, rest="").lm("m").copy(num_retries=1)
    with pytest.raises(LMError, match="switched off"):
        lm("question")
    assert [len(server.bodies) for server in servers] == [2, 2]


def test_a_bank_takes_all_replicas_for_one_model(start: Started, tmp_path: Path) -> None:
    servers = start({}, {})
    bank = CandidateBank(f"sqlite:///{tmp_path / 'bank.db'}")
    program = BestOfN(PlainAnswer(), n=2, scorer=lambda a, p: 0.5, signature="question -> answer", bank=bank)
    first, second = catalogue(tmp_path, servers).lm("m"), catalogue(tmp_path, servers[::-1]).lm("m")
    assert lm_fingerprint(first) == lm_fingerprint(second)
    for lm in (first, second):
        with dspy.context(lm=lm):
            program(question="q")
    assert sum(len(server.bodies) for server in servers) == 2


def test_copies_share_the_replicas_and_saved_state_has_no_address(start: Started, tmp_path: Path) -> None:
    servers = start({}, {})
    lm = catalogue(tmp_path, servers, "max_concurrency = 3").lm("m")
    for other in (copy.deepcopy(lm), pickle.loads(pickle.dumps(lm)), lm.copy(temperature=0.5)):
        assert other.affinity is lm.affinity
        assert other("hello")
    assert servers[0].address not in str(lm.dump_state())
    assert type(dspy.LM.load_state(lm.dump_state())) is dspy.LM


def test_usage_is_tracked_once(start: Started, tmp_path: Path) -> None:
    lm: Any = catalogue(tmp_path, start({}, {"status": 500})).lm("m")
    with dspy.track_usage() as tracker:
        for i in range(4):
            lm(f"question {i}")
    assert sum(usage["completion_tokens"] for usage in tracker.usage_data["openai/m"]) == 32


def test_fusion_runs_over_replicas_in_an_event_loop(start: Started, tmp_path: Path) -> None:
    lm = catalogue(tmp_path, start({}, {})).lm("m")
    with dspy.context(lm=lm):
        answer = asyncio.run(
            Fusion(PlainAnswer(), n=3, signature="question -> answer", fusor=Shortest()).acall(question="q")
        )
    assert len(answer.pool.good) == 3


class Shortest(dspy.Module):
    async def aforward(self, candidates: list[str], **inputs: str) -> dspy.Prediction:
        return dspy.Prediction(answer=min(candidates, key=len))

    def forward(self, candidates: list[str], **inputs: str) -> dspy.Prediction:
        return dspy.Prediction(answer=min(candidates, key=len))


@pytest.mark.filterwarnings("error::DeprecationWarning")
def test_a_routed_model_streams() -> None:
    engine = ScriptedEngine(lambda request: {"answer": "a streamed answer"})
    affinity = affinity_of(["scripted/model"], 1)
    lm = RoutedLM(
        "scripted/model", affinity=affinity, engine=engine, async_engine=AsyncScriptedEngine(engine), cache=False
    )
    predict = dspy.Predict("question -> answer")
    listener = dspy.streaming.StreamListener("answer")
    with dspy.context(lm=lm):
        streamed = dspy.streamify(predict, stream_listeners=[listener], async_streaming=False)(question="q")
        chunks = [item for item in streamed if isinstance(item, dspy.streaming.StreamResponse)]
    assert "".join(chunk.chunk for chunk in chunks) == "a streamed answer"
    assert affinity.endpoints[0].places.taken == 0
