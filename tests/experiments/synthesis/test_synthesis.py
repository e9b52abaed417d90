"""A synthesis from beginning to end on scripted models: what is written, resumed, refused and repeated."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from dspy_fusion.experiments.synthesis.engine_local import LocalEngine
from dspy_fusion.experiments.synthesis.folder import open_folder, read_folder
from dspy_fusion.experiments.synthesis.row_maker import RowMaker
from dspy_fusion.experiments.synthesis.synthesized_rows import Row
from dspy_fusion.programs.calls.interrupts import GRACE_SECONDS
from dspy_fusion.programs.errors import ConfigurationError, RecordError


def stop_after(rows: int) -> Any:
    """Ends a run as a crash would, after so many rows."""
    seen = []

    def on_row(row: Row) -> None:
        seen.append(row)
        if len(seen) == rows:
            raise RuntimeError("crash")

    return on_row


def test_every_prompt_has_its_row_in_order(scene: Any) -> None:
    rows = scene.run()
    assert [row.prompt for row in rows] == [f"prompt {i}" for i in range(6)]
    assert sorted(path.name for path in (scene.folder / "out").glob("rows-*")) == [
        "rows-00000.jsonl",
        "rows-00001.jsonl",
    ]


def test_a_crashed_run_goes_on_and_ends_as_an_undisturbed_one(scene: Any) -> None:
    undisturbed = scene.run("whole")
    for rows in (1, 2):
        synthesis = scene.prepare()
        with pytest.raises(RuntimeError, match="crash"):
            synthesis.go_on(stop_after(rows))
        synthesis.close()
    assert len(scene.written()) >= 3
    calls = len(scene.requests)
    missing = 6 - len(scene.written())
    assert scene.run() == undisturbed
    assert len(scene.requests) - calls == 3 * missing


def test_a_finished_synthesis_makes_no_call_and_goes_on_with_more_rows(scene: Any) -> None:
    first = scene.run(rows=3)
    scene.requests.clear()
    assert scene.run(rows=3) == first
    assert scene.requests == []
    assert scene.run(rows=0)[:3] == first
    assert len(scene.requests) == 9


def test_rows_with_a_failure_are_made_again_on_demand(scene: Any, fails: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """One model all along, which the environment breaks: another model would be another synthesis."""
    working = scene.catalogue.entries["two"].answer

    def answer(request: Any) -> Any:
        broken = "BROKEN" in os.environ and "prompt 2" in str(request.messages)
        return fails(request) if broken else working(request)

    scene.answers("two", answer)
    undisturbed = scene.run("whole")
    monkeypatch.setenv("BROKEN", "yes")
    assert [row.index for row in scene.run() if row.failures] == [2]
    monkeypatch.delenv("BROKEN")
    scene.requests.clear()
    assert scene.run(retry_failed=True) == undisturbed
    assert {request.messages[-1].text for _, request in scene.requests} == {"prompt 2"}


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("two", "the teacher 'two' failed on all of the first 12 rows, the last time with .*no such model here"),
        ("fusor", "the fusor 'fusor' failed on all of the first 12 rows"),
    ],
)
def test_a_model_that_always_fails_ends_the_run_early(scene: Any, fails: Any, model: str, said: str) -> None:
    scene.prompts(*(f"prompt {i}" for i in range(40)))
    scene.answers(model, fails)
    with pytest.raises(RecordError, match=said):
        scene.run()
    assert 12 <= len(scene.written()) <= 15
    assert all(row.candidates[0].text for row in scene.written())


def test_a_fusor_that_always_refuses_ends_the_run_early(scene: Any) -> None:
    scene.prompts(*(f"prompt {i}" for i in range(40)))
    scene.answers("fusor", lambda request: "I'm sorry, but I can't help with that.")
    with pytest.raises(
        RecordError, match=r"the fusor 'fusor' refused on all of the first 12 rows, the last time with .*sorry"
    ):
        scene.run()


def test_a_fusor_that_sometimes_refuses_is_counted(scene: Any) -> None:
    scene.answers(
        "fusor", lambda request: "I cannot help with that." if "prompt 1" in str(request.messages) else "fine"
    )
    scene.run()
    totals = scene.prepare().count()
    assert (totals.kept, totals.fusor_refused, totals.plain()["dropped"]) == (5, 1, {"refusal": 1})
    assert json.loads((scene.folder / "out" / "summary.json").read_text())["fusor"] == {
        "written": 6,
        "failed": 0,
        "refused": 1,
    }


def test_another_configuration_prompts_or_model_is_refused(scene: Any) -> None:
    scene.run()
    with pytest.raises(RecordError, match=r"holds another synthesis \(temperature: 0.3 -> 0.9\)"):
        scene.prepare(temperature=0.9)
    scene.prompts("other")
    with pytest.raises(RecordError, match=r"holds another synthesis \(prompts\.bytes: .*prompts\.sha256: "):
        scene.prepare()


def test_one_process_at_a_time_even_after_a_kill(scene: Any) -> None:
    def hold(ready: Any) -> None:
        synthesis = scene.prepare()
        ready.set()
        time.sleep(60)
        synthesis.close()

    context = multiprocessing.get_context("fork")
    ready = context.Event()
    process = context.Process(target=hold, args=(ready,))
    process.start()
    assert ready.wait(120)
    with pytest.raises(ConfigurationError, match=r"another process is at work in .*out; wait for it"):
        scene.prepare()
    os.kill(process.pid or 0, signal.SIGKILL)
    process.join()
    assert len(scene.run()) == 6


def test_no_more_rows_than_asked_for_are_under_way(scene: Any) -> None:
    under_way, most, lock = [0], [0], threading.Lock()

    class Counting(RowMaker):
        async def make(self, prompt: Any) -> Row:
            with lock:
                under_way[0] += 1
                most[0] = max(most[0], under_way[0])
            await asyncio.sleep(0.005)
            row = await super().make(prompt)
            under_way[0] -= 1
            return row

    scene.prompts(*(f"prompt {i}" for i in range(30)))
    synthesis = scene.prepare()
    engine = LocalEngine(Counting(synthesis.recipe), synthesis.shards, synthesis.gates, lambda row: None)
    asyncio.run(engine.run(synthesis.missing(), 5))
    assert (most[0], synthesis.shards.count) == (5, 30)


def test_a_row_that_hangs_holds_up_reading_after_a_few_files(scene: Any) -> None:
    scene.prompts(*(f"prompt {i}" for i in range(100)))
    synthesis = scene.prepare()

    async def run() -> int:
        hangs = asyncio.Event()

        class Hanging(RowMaker):
            async def make(self, prompt: Any) -> Row:
                if prompt.index == 0:
                    await hangs.wait()
                return await super().make(prompt)

        engine = LocalEngine(Hanging(synthesis.recipe), synthesis.shards, synthesis.gates, lambda row: None)
        running = asyncio.create_task(engine.run(synthesis.missing(), 4))
        while synthesis.shards.count < synthesis.shards.limit - 1:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        held = synthesis.shards.count
        hangs.set()
        await running
        return held

    assert asyncio.run(run()) == 11  # three files of four, less the row that hangs
    assert synthesis.shards.count == 100


def test_ctrl_c_has_the_rows_in_flight_finished(scene: Any) -> None:
    scene.prompts(*(f"prompt {i}" for i in range(50)))
    said = []
    synthesis = scene.prepare()
    sent = []

    def on_row(row: Row) -> None:
        if not sent:
            sent.append(os.kill(os.getpid(), signal.SIGINT))

    assert not synthesis.go_on(on_row, on_interrupt=lambda: said.append("stopping"))
    synthesis.close()
    assert said == ["stopping"]
    assert 1 <= len(scene.written()) < 50
    assert len(scene.requests) == 3 * len(scene.written())
    assert len(scene.run()) == 50


def test_answers_that_came_in_time_are_kept_where_the_process_comes_to_them_late(scene: Any) -> None:
    synthesis = scene.prepare()

    async def run() -> None:
        came, under_way = asyncio.Event(), []

        class Answered(RowMaker):
            async def make(self, prompt: Any) -> Row:
                under_way.append(prompt)
                await came.wait()
                for _ in range(20):  # from an answer to a row is more than one turn of the loop
                    await asyncio.sleep(0)
                return await super().make(prompt)

        engine = LocalEngine(Answered(synthesis.recipe), synthesis.shards, synthesis.gates, lambda row: None)
        running = asyncio.create_task(engine.run(synthesis.missing(), 3))
        while len(under_way) < 3:
            await asyncio.sleep(0.01)
        stopping = asyncio.create_task(engine.stop())
        await asyncio.sleep(0.1)
        came.set()
        time.sleep(GRACE_SECONDS)  # others have all cores
        await running
        stopping.cancel()

    asyncio.run(run())
    synthesis.close()
    assert [row.index for row in scene.written()] == [0, 1, 2]


def test_a_lost_index_of_duplicates_is_made_again(scene: Any) -> None:
    pytest.importorskip("datasketch")
    gates = {"language": False, "near_duplicates": 0.9}
    scene.prompts(*(f"prompt {i % 6}" * 20 for i in range(8)))
    whole = scene.run("whole", gates=gates)
    scene.run(gates=gates, rows=5)
    (scene.folder / "out" / "duplicates.db").unlink()
    assert scene.run(gates=gates) == whole
    assert [row.index for row in whole if row.dropped] == [6, 7]


def test_a_folder_that_is_none_is_named(scene: Any, tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"holds no synthesis: run.json: No such file"):
        read_folder(tmp_path / "nothing")
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match=r"cannot write to the folder .*file"):
        open_folder(tmp_path / "file", scene.config(), {"models": {}, "prompts": {}})
    scene.run()
    (scene.folder / "out" / "run.json").write_text("{}")
    with pytest.raises(RecordError, match=r"run.json cannot be read: it lacks the configuration"):
        scene.prepare()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"teachers": ["one", "nobody"]}, "no model is called 'nobody'"),
        ({"fusion": {"fusor": "nobody"}}, "no model is called 'nobody'"),
        ({"best": {"scorer": "pairwise", "model": "judge", "options": {"rounds": 0}}}, "rounds must be at least 1"),
        (
            {"best": {"scorer": "likelihood", "options": {"taste": 1}}},
            "scorer 'likelihood' does not take these options",
        ),
        (
            {"best": {"scorer": "reward_model", "options": {"address": "ftp://x", "model": "m"}}},
            "address must begin with http",
        ),
    ],
)
def test_a_wrong_name_or_option_is_found_before_any_call(scene: Any, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        scene.prepare(**changes)
    assert not (scene.folder / "out").exists()
