"""``dspy-fusion synthesize``: training data from prompts and a pool of teachers.

``synthesize export`` cuts a data set from it.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from rich.console import Console

from dspy_fusion.programs.errors import ConfigurationError
from dspy_fusion.programs.tasks import instructions

from ..plans.command_options import add_options, given_options
from ..synthesis.dataset_card import UNKNOWN
from ..synthesis.example_files import KINDS
from ..synthesis.export import export
from ..synthesis.folder import read_folder
from ..synthesis.synthesis import ENGINES
from ..synthesis.synthesis_config import SynthesisConfig
from ..synthesis.training_rows import ANSWERS, FORMATS, PAIRS, READERS, Shape
from ..workflows.synthesis_workflow import synthesize


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to make, and what to export."""
    parser.add_argument(
        "config", nargs="?", help="a TOML file, or the word export; or leave it out and give --prompts and --teachers"
    )
    parser.add_argument("folder", nargs="?", type=Path, help="after export: the folder of a synthesis")
    making = parser.add_argument_group("making rows")
    making.add_argument("--prompts", help="a file of prompts (.jsonl, .csv, .parquet, .gz) or task:NAME or hub:NAME")
    making.add_argument("--column", help="the prompts' column (default: prompt)")
    making.add_argument("--fusor", help="the model that writes one answer from all candidates")
    making.add_argument("--scorer", help="what finds the best candidate: likelihood, judge or pairwise")
    making.add_argument("--judge", default="", help="the model behind the scorer")
    add_options(making, SynthesisConfig, but=("out", "system"))
    making.add_argument("--engine", choices=ENGINES, default="local", help="where rows are made (default: local)")
    making.add_argument("--retry-failed", action="store_true", help="make rows again on which anything failed")
    cutting = parser.add_argument_group("exporting")
    cutting.add_argument("--format", choices=FORMATS, help="sft, aft or preference")
    cutting.add_argument("--to", choices=KINDS, default="jsonl", help="jsonl or parquet (default: jsonl)")
    cutting.add_argument("--license", default=UNKNOWN, help="of the data set, for its card (default: unknown)")
    cutting.add_argument("--answer", choices=ANSWERS, default="auto", help="of sft: fused, best, or the row's own")
    cutting.add_argument(
        "--pairs", choices=PAIRS, default="auto", help="of preference: fused over candidates, best over worst, or both"
    )
    cutting.add_argument(
        "--instructions", default="AGGREGATE", help="of aft: a text, or the name of one of the library's"
    )
    cutting.add_argument("--system", help="of sft and preference: system text (default: the teachers')")
    cutting.add_argument(
        "--for",
        dest="reader",
        choices=READERS,
        default="trl",
        help="who reads it: trl (and this library), or llama-factory, with its dataset_info.json (default: trl)",
    )
    parser.add_argument(
        "--out", type=Path, help="folder (default: one under runs/, or of an export the synthesis' own)"
    )


def run(arguments: argparse.Namespace, console: Console, log: Console) -> int:
    """Makes rows or exports them."""
    if arguments.config == "export":
        return _export(arguments, console, log)
    if arguments.folder is not None:
        raise ConfigurationError(f"a second word is for export alone, but got {str(arguments.folder)!r}")
    config = _config(arguments)
    return synthesize(config, engine=arguments.engine, retry_failed=arguments.retry_failed, console=console, log=log)


def _export(arguments: argparse.Namespace, console: Console, log: Console) -> int:
    if arguments.folder is None or arguments.format is None:
        raise ConfigurationError(
            f"export takes a folder and --format, one of {', '.join(FORMATS)}: synthesize export FOLDER --format sft"
        )
    system = read_folder(arguments.folder).about["system"] if arguments.system is None else arguments.system
    shape = Shape(
        arguments.format,
        answer=arguments.answer,
        pairs=arguments.pairs,
        instructions=getattr(instructions, arguments.instructions, arguments.instructions),
        system=system,
        reader=arguments.reader,
    )
    made = export(arguments.folder, shape, to=arguments.to, out=arguments.out, licence=arguments.license)
    if made.unfinished:
        log.print("rows of unfinished files are left out; let the synthesis go on to have them", style="yellow")
    console.print(f"{made.examples} examples of {made.totals.kept} kept rows (of {made.totals.rows})", highlight=False)
    for path in sorted(made.folder.iterdir(), key=lambda path: path != made.file):
        console.print(f"  {path}", highlight=False, soft_wrap=True)
    return 0


def _config(arguments: argparse.Namespace) -> SynthesisConfig:
    settings = given_options(arguments, SynthesisConfig)
    if arguments.out is not None:
        settings["out"] = str(arguments.out)
    typed = [name for name in ("prompts", "teachers", "fusor", "scorer", "judge", "column") if getattr(arguments, name)]
    if arguments.config is not None:
        if typed:
            raise ConfigurationError(f"give either a configuration file or --{typed[0]}, not both")
        return SynthesisConfig.read(Path(arguments.config), settings)
    if not ((arguments.prompts or arguments.task or arguments.data) and arguments.teachers):
        raise ConfigurationError(
            "give a configuration file, or --prompts or --data with --teachers; see dspy-fusion synthesize --help"
        )
    return SynthesisConfig.parse(_tables(arguments), where="command line", settings=settings)


def _tables(arguments: argparse.Namespace) -> dict[str, Any]:
    """What the options say, as a configuration file would."""
    kind, colon, name = (arguments.prompts or "").partition(":")
    source = {kind: name} if colon and kind in ("task", "hub") else {"file": kind + colon + name}
    tables: dict[str, Any] = {}
    if arguments.prompts or not arguments.data:
        tables["prompts"] = source | ({"column": arguments.column} if arguments.column else {})
    if arguments.fusor:
        tables["fusion"] = {"fusor": arguments.fusor}
    if arguments.scorer:
        tables["best"] = {"scorer": arguments.scorer, "model": arguments.judge}
    return tables
