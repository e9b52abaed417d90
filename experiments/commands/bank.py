"""``dspy-fusion bank import | show``: recorded generations into a bank, and what they say without a model."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console

from dspy_fusion.programs import CandidateBank
from dspy_fusion.programs.errors import ConfigurationError

from ..pools.evaluation import RESAMPLES, SUBSETS
from ..pools.overview import overview_of
from ..pools.overview_files import write_overview
from ..pools.overview_tables import overview_tables, set_table
from ..recordings.importing import ImportOptions, ImportReport, import_file
from ..recordings.mapped_shape import CANDIDATE, QUESTION
from ..recordings.shapes import QUESTIONS, SHAPES, Columns
from ..recordings.store import RecordedStore, open_store

_DEFAULT = "sqlite:///bank.db"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to import, or what to show."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="import | show")
    importing = actions.add_parser(
        "import", help="bring recorded generations into a bank", description="Bring recorded generations in."
    )
    importing.add_argument(
        "file",
        help="a .jsonl, .json, .csv, .tsv or .parquet file (the first three may be compressed: .gz), or the name of a"
        " data set on the Hugging Face hub",
    )
    importing.add_argument("--bank", default=_DEFAULT, help=f"SQLAlchemy URL of the bank (default: {_DEFAULT})")
    importing.add_argument(
        "--task", help="the task whose questions they are (default: the one that the file is known to be of)"
    )
    importing.add_argument("--name", default="", help="of the set (default: the shape's name, or the file's)")
    importing.add_argument(
        "--shape", default="", help=f"what the file looks like, told by its columns if not given: {_listed()}"
    )
    importing.add_argument(
        "--map", action="append", default=[], metavar="OURS=THEIRS", help=f"a column by our name: {_names()}"
    )
    importing.add_argument(
        "--columns", default="", help="the columns that hold the answers, one source each, separated by commas"
    )
    importing.add_argument(
        "--score-range", nargs=2, type=float, metavar=("LOW", "HIGH"), help="scores are the measure of quality"
    )
    importing.add_argument("--requests", default="", help="of the output of a batch of OpenAI's: its input file")
    importing.add_argument("--split", default="train", help="of a data set on the hub")
    importing.add_argument("--config", help="of a data set on the hub")
    showing = actions.add_parser(
        "show", help="what a bank's recorded generations say", description="What recorded generations say."
    )
    showing.add_argument("bank", help="SQLAlchemy URL of the bank")
    showing.add_argument("--set", default="", help="the set (default: the only one)")
    showing.add_argument(
        "--sources", default="", help="the candidates to choose from, separated by commas (default: all)"
    )
    showing.add_argument(
        "--subsets", type=int, default=SUBSETS, help="subsets of each size that votes are averaged over"
    )
    showing.add_argument("--resamples", type=int, default=RESAMPLES, help="of the intervals")
    showing.add_argument("--seed", type=int, default=0, help="of subsets and folds")
    showing.add_argument(
        "--out", type=Path, help="a folder for the N-curves as a figure and CSV, and all numbers as JSON"
    )
    for action in (importing, showing):
        action.add_argument(
            "--debug", action="store_true", default=argparse.SUPPRESS, help="show the traceback of an error"
        )


def run(arguments: argparse.Namespace, console: Console, log: Console) -> int:
    """Imports or shows."""
    return (_import if arguments.action == "import" else _show)(arguments, console, log)


def _import(arguments: argparse.Namespace, console: Console, log: Console) -> int:
    columns = Columns(
        names=dict(_pair(text) for text in arguments.map),
        candidates=_split(arguments.columns),
        score_range=tuple(arguments.score_range) if arguments.score_range else None,
        requests=arguments.requests,
    )
    options = ImportOptions(arguments.name, arguments.task, arguments.shape, columns, arguments.split, arguments.config)
    report = import_file(arguments.file, RecordedStore(CandidateBank(arguments.bank)), options)
    console.print(_summary(report, arguments.bank), markup=False, highlight=False, soft_wrap=True)
    for note in report.notes:
        log.print(note, style="yellow", markup=False, highlight=False, soft_wrap=True)
    return 0


def _show(arguments: argparse.Namespace, console: Console, log: Console) -> int:
    for name in ("subsets", "resamples"):
        if getattr(arguments, name) < 1:
            raise ConfigurationError(f"--{name} must be at least 1, but got {getattr(arguments, name)}")
    store = open_store(arguments.bank)
    if not arguments.set and len(store.sets) > 1:
        console.print(set_table(store.sets).rich())
        console.print("Name one with --set to see what it says.", markup=False)
        return 0
    chosen = store.set_named(arguments.set)
    settings = {"subsets": arguments.subsets, "resamples": arguments.resamples, "seed": arguments.seed}
    overview = overview_of(chosen.name, store.questions(chosen.name), columns=_split(arguments.sources), **settings)
    for table in overview_tables(overview):
        console.print(table.rich())
        console.print()
    for note in overview.notes:
        log.print(note, style="yellow", markup=False, highlight=False)
    if arguments.out is not None:
        written = write_overview(overview, arguments.out)
        console.print("written: " + ", ".join(map(str, written)), markup=False, highlight=False, soft_wrap=True)
    return 0


def _summary(report: ImportReport, bank: str) -> str:
    added, into = report.added, report.into
    task = f", task {into.task}" if into.task else ""
    known = f"; {added.known} candidates were there already" if added.known else ""
    return (
        f"{report.rows} rows read as {into.shape}: {added.questions} questions and {added.candidates} candidates added "
        f"to the set {into.name!r}{task}{known}\nnext: dspy-fusion bank show {bank} --set {into.name}"
    )


def _pair(text: str) -> tuple[str, str]:
    ours, mark, theirs = text.partition("=")
    if not (mark and ours and theirs):
        raise ConfigurationError(f"--map takes OURS=THEIRS, such as question=prompt, but got {text!r}")
    return ours, theirs


def _split(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _listed() -> str:
    return ", ".join((*SHAPES, QUESTIONS))


def _names() -> str:
    return ", ".join((*QUESTION, *CANDIDATE))
