"""``dspy-fusion models``: the catalogue, as it is found from here; how its servers are, and what they honour."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from dspy_fusion.programs import MissingKey
from dspy_fusion.serving.catalogue.health import Health, health
from dspy_fusion.serving.catalogue.model_entry import ModelEntry
from dspy_fusion.serving.catalogue.models import ModelCatalogue, load_models
from dspy_fusion.serving.catalogue.probe import probe
from dspy_fusion.serving.catalogue.probe_report import ProbeReport, complaints, keep_report
from dspy_fusion.serving.local.known_models import KNOWN_MODELS
from dspy_fusion.serving.local.model_files import model_file

from ..presentation.quiet import only_errors_logged


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which catalogue, and what about it."""
    parser.add_argument("--models-file", type=Path, help="a models.toml")
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--health", action="store_true", help="ask each server whether it answers and how long its queue is"
    )
    what.add_argument(
        "--probe",
        nargs="*",
        metavar="NAME",
        help=(
            "learn by about fifteen tiny calls each what these models honour; without names, those that are not"
            " built in"
        ),
    )

    what.add_argument("--available", action="store_true", help="list small models that can be had and run here by name")
    what.add_argument(
        "--get", metavar="NAME", help="download one of them (resumed, checked by its hash), or say where it is"
    )


def run(arguments: argparse.Namespace, console: Console, log: Console) -> int:
    """Lists, asks or probes the models."""
    if arguments.available:
        return _available(console)
    if arguments.get:
        console.print(f"{arguments.get}: {model_file(arguments.get)}", markup=False, soft_wrap=True)
        return 0
    models = load_models(arguments.models_file)
    if arguments.probe is not None:
        with only_errors_logged(
            "dspy.clients.lm"
        ):  # it warns of every answer that is cut off, and all of a probe's are
            return _probe(models, arguments.probe, console, log)
    if arguments.health:
        return _health(models.entries, console)
    table = _table("Models", "name", "model", "where", "USD per million tokens", "what it is")
    for name, entry in models.entries.items():
        price = (
            f"{entry.price.input:g} in, {entry.price.output:g} out" if entry.price.input or entry.price.output else ""
        )
        table.add_row(*map(escape, (name, entry.model, _where(entry), price, entry.about)))
    console.print(table)
    if models.file:
        overridden = f"; it overrides the built-in {', '.join(models.overrides)}" if models.overrides else ""
        console.print(f"Read from {models.file}{overridden}.", markup=False, soft_wrap=True)
    console.print(
        "Any litellm model string, such as hosted_vllm/Qwen/Qwen3-8B, does as a name too; addresses and keys go into a"
        " models.toml."
    )
    return 0


def _available(console: Console) -> int:
    """The known GGUF files."""
    table = _table("Models that run on this machine", "name", "download", "context", "licence", "good for")
    for model in KNOWN_MODELS.values():
        table.add_row(model.name, f"{model.megabytes} MB", f"{model.context:,}", model.licence, model.about)
    console.print(table)
    console.print(
        'Use one anywhere as local/NAME, in Python as local_lm("NAME"); any other GGUF file by its path, or as'
        " hf:owner/name:file.gguf. They need the extra local.",
        markup=False,
    )
    return 0


def _probe(models: ModelCatalogue, names: list[str], console: Console, log: Console) -> int:
    """Probes every address of the models, prints and keeps what was found; 1 where one did not answer."""
    own = [name for name in models.names if name not in ModelCatalogue.builtin().names]
    silent = False
    for name in names or own or models.names:
        entry = models.entry(name)
        reports = []
        for address in entry.where or ("",):
            try:
                report = probe(entry, address)
            except MissingKey as missing:
                log.print(escape(str(missing)))
                silent = True
                continue
            console.print(_probe_table(name, report))
            if not report.has_answer:
                log.print("not kept: it did not answer")
                silent = True
                continue
            reports.append(report)
            log.print(f"kept in {keep_report(report)}")
        for complaint in complaints(entry, reports):
            log.print(f"warning: {escape(complaint)}")
    return int(silent)


def _probe_table(name: str, report: ProbeReport) -> Table:
    table = _table(f"{name}: {report.model} {report.address}".rstrip(), "option", "verdict", "what was seen")
    for option, finding in report.findings.items():
        table.add_row(*map(escape, (option, finding.verdict, finding.note)))
    return table


def _health(entries: Mapping[str, ModelEntry], console: Console) -> int:
    """Asks all servers at once and prints what they say; 1 where one does not answer."""
    with ThreadPoolExecutor(len(entries)) as threads:
        states = dict(
            zip(
                entries,
                threads.map(lambda entry: health(entry, os.environ.get(entry.key, "")), entries.values()),
                strict=True,
            )
        )
    console.print(_health_table(entries, states))
    return int(any(state.problem for asked in states.values() for state in asked))


def _health_table(entries: Mapping[str, ModelEntry], states: Mapping[str, Sequence[Health]]) -> Table:
    table = _table("Health", "name", "where", "state", "running", "waiting", "limit a server")
    for name, entry in entries.items():
        for state in states[name] or [Health(_where(entry))]:
            said = state.problem or (f"answers in {state.seconds * 1000:.0f} ms" if entry.where else "not asked")
            numbers = [
                "" if number is None else str(number)
                for number in (state.running, state.waiting, entry.max_concurrency)
            ]
            table.add_row(*map(escape, (name, state.address, said, *numbers)))
    return table


def _table(title: str, *heads: str) -> Table:
    table = Table(title=escape(title), title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    for head in heads:
        table.add_column(head, overflow="fold")
    return table


def _where(entry: ModelEntry) -> str:
    key = f", key in {entry.key}{'' if os.environ.get(entry.key) else ' (not set)'}" if entry.key else ""
    if entry.is_local:
        return "this machine"
    return ("this process" if entry.is_embedded else ", ".join(entry.where) or "the provider") + key
