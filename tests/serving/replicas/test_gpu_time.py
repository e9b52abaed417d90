from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context

import dspy
import pytest
from switch_server import switch_server

from dspy_fusion.programs.calls.metering import Meter
from dspy_fusion.serving.catalogue.model_entry import ModelEntry


def test_calls_side_by_side_share_the_gpus() -> None:
    with switch_server(delay_seconds=0.3, at_once=4) as server:
        lm = ModelEntry("openai/m", address=server.address, engine="native", gpus=2).lm()
        meter = Meter(limited=False)
        with dspy.context(usage_tracker=meter), ThreadPoolExecutor(4) as threads:
            started = time.monotonic()
            jobs = [threads.submit(copy_context().run, lm, f"q{i}") for i in range(4)]
            assert all(job.result() for job in jobs)
            elapsed = time.monotonic() - started
    assert 0.6 <= meter.gpu_seconds["openai/m"] <= 2 * elapsed


@pytest.mark.parametrize("asynchronous", [False, True])
def test_failed_calls_took_gpu_time_too(asynchronous: bool) -> None:
    outer = Meter(limited=False)
    with switch_server(delay_seconds=0.05, status=400) as server, dspy.context(usage_tracker=outer):
        lm = ModelEntry("openai/m", address=server.address, engine="native", gpus=1).lm()
        inner = Meter(limited=False)
        with dspy.context(usage_tracker=inner), pytest.raises(Exception, match="switched off"):
            asyncio.run(lm.acall("q")) if asynchronous else lm("q")
    assert outer.gpu_seconds == inner.gpu_seconds
    assert inner.gpu_seconds["openai/m"] >= 0.05
