"""Drawing what the study needs, and nothing else: answers are graded when the recording is replayed."""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import replace
from pathlib import Path

import dspy

from dspy_fusion.experiments.own_tasks.adapters import spoken
from dspy_fusion.experiments.plans.comparison_config import CompareConfig
from dspy_fusion.experiments.plans.strategies import Strategy, planned
from dspy_fusion.experiments.plans.strategy_programs import Site, build
from dspy_fusion.experiments.tasks import Task, load_task
from dspy_fusion.programs import task_signature
from dspy_fusion.serving import local_lm
from dspy_fusion.serving.local.known_models import KNOWN_MODELS
from dspy_fusion.serving.recorded_requests import RequestRecording, recorded_lm

from .plan import Study, configured

FREE = ("single", "vote", "oracle", "fresh_solve")
FREE_SCORERS = ("likelihood", "code_tests", "code_agreement")


def named(model: str) -> str:
    """What a model is called in recordings: its name and the beginning of its file's hash."""
    return f"local/{model}@{KNOWN_MODELS[model].sha256[:8]}"


def recorded(study: Study, recording: RequestRecording, *, threads: int | None = None) -> dspy.LM:
    """The model of a study; with ``threads`` it is asked what the recording lacks."""
    if threads is None:
        return recorded_lm(recording, name=named(study.model), takes_cut=study.takes_cut, **study.sampling)
    lm = local_lm(study.model, parallel=16, threads=threads, context=2048)
    return recorded_lm(recording, lm, name=named(study.model), takes_cut=study.takes_cut, **study.sampling)


def task_of(study: Study) -> Task:
    """The study's task as its model is asked."""
    task = spoken(load_task(study.task), "plain")

    def program(instructions: str) -> dspy.Module:
        made = task.program(instructions)
        (predictor,) = made.predictors()
        signature = task_signature(made)
        names = [*signature.input_fields, *signature.output_fields]
        predictor.demos = [dspy.Example(**dict(zip(names, demo, strict=True))) for demo in study.demos]
        return made

    return replace(task, program=program)


def draw(study: Study, folder: Path, examples: int, *, deep: bool, threads: int, until: float) -> bool:
    """Makes the calls of a study that are not recorded yet, arm by arm; False where the time was over before."""
    recording = RequestRecording(folder / f"{study.name}.jsonl")
    config = configured(study, examples, deep=deep)
    lm = recorded(study, recording, threads=threads)
    for strategy in asking(config):
        began, before = time.monotonic(), len(recording)
        finished = _answered(config, strategy, study, lm, until)
        took, calls = time.monotonic() - began, len(recording) - before
        print(f"{study.name} x {examples}: {strategy.name}: {calls} calls in {took:.0f} s", flush=True)
        if not finished:
            return False
    return True


def asking(config: CompareConfig) -> list[Strategy]:
    """The arms that make calls of their own, the largest pool first: all smaller ones are parts of it."""
    plan = [strategy for strategy in planned(config) if not strategy.curve_of]
    pool = [strategy for strategy in plan if strategy.scorer == "likelihood"]
    greedy = [strategy for strategy in plan if strategy.name == "greedy"]
    others = [s for s in plan if s.program not in FREE and s.scorer not in FREE_SCORERS and not s.is_own]
    return [*pool, *greedy, *others]


def _answered(config: CompareConfig, strategy: Strategy, study: Study, lm: dspy.LM, until: float) -> bool:
    task = task_of(study)
    program = build(strategy, Site(task, config.instructions, {study.model: lm}, None, 0))

    def answer(example: dspy.Example) -> bool:
        if time.time() > until:
            return False
        try:
            with dspy.context(adapter=task.adapter()):
                program(**example.inputs())
        except Exception as error:  # noqa: BLE001 (a failed question is an outcome of the study)
            print(f"{example.id}: {strategy.name}: {type(error).__name__}: {str(error)[:150]}", file=sys.stderr)
        return True

    examples = task.examples(config.split, config.examples)
    with ThreadPoolExecutor(config.max_concurrency) as threads:
        futures = [threads.submit(copy_context().run, answer, example) for example in examples]
        return all([future.result() for future in futures])
