"""``dspy-fusion analyse``: what width, depth, proposals, training targets and compute do.

Each is a table, a figure and records.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from dspy_fusion.programs.errors import ConfigurationError
from dspy_fusion.serving.catalogue.models import ModelCatalogue, load_models

from ..analyses.curves import curve_findings, read_curve
from ..analyses.figures import curves_figure, flops_figure, grid_figure, perplexity_figure, subsets_figure
from ..analyses.flops import BASES
from ..analyses.flops_findings import analyse_flops
from ..analyses.grid import grid_config, grid_findings
from ..analyses.model_sizes import parse_size
from ..analyses.output import Findings, write_findings
from ..analyses.perplexity_findings import perplexities, perplexity_findings
from ..analyses.running import Asked, run_grid, run_perplexity, run_subsets
from ..analyses.subset_findings import rank_cells, subset_findings
from ..presentation.figure import Plot
from ..presentation.quiet import only_errors_logged
from ..runs.record_progress import RunProgress

_STEP = 20  # likelihoods between two lines of progress


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to analyse."""
    kinds = parser.add_subparsers(dest="analysis", required=True, metavar="ANALYSIS")
    grid = _asking(kinds, "grid", "width and depth of propose-and-aggregate", examples=60)
    grid.add_argument("--models", required=True, help="the pool: model names, separated by commas")
    grid.add_argument("--fusor", default="", help="the model that aggregates (default: the pool's first)")
    grid.add_argument("--widths", default="1,3,5", help="answers a layer (default: 1,3,5)")
    grid.add_argument("--depths", default="1,2,3", help="layers of aggregation (default: 1,2,3)")
    grid.add_argument("--seeds", type=int, default=1, help="repetitions with other samples")
    grid.add_argument("--temperature", type=float, default=0.7, help="of the proposals (default: 0.7)")
    grid.add_argument("--final-temperature", type=float, default=0.0, help="of the last layer (default: 0)")
    subsets = _asking(kinds, "subsets", "subsets of a pool: what their quality and diversity are worth", examples=100)
    subsets.add_argument("--models", required=True, help="the pool: model names, separated by commas")
    subsets.add_argument("--fusor", default="", help="the model that fuses (default: the pool's first)")
    subsets.add_argument("--proposals", type=int, default=10, help="drawn for each question (default: 10)")
    subsets.add_argument("--size", type=int, default=5, help="of a subset (default: 5)")
    subsets.add_argument("--subsets", type=int, help="fused for each question, a seeded sample (default: all)")
    subsets.add_argument("--temperature", type=float, default=1.0, help="of the proposals (default: 1)")
    subsets.add_argument("--seed", type=int, default=0, help="of the proposals and of the sample")
    perplexity = _asking(
        kinds, "perplexity", "how surprising training targets are to the model before training", examples=200
    )
    perplexity.add_argument(
        "--base", required=True, help="the model before training: embedded/NAME or a Hugging Face checkpoint"
    )
    perplexity.add_argument("--teachers", default="", help="models that propose off-policy, separated by commas")
    perplexity.add_argument(
        "--references", default="", help="the stronger model that aggregates (default: the task's own answers)"
    )
    perplexity.add_argument("--draws", type=int, default=10, help="answers drawn for an example (default: 10)")
    perplexity.add_argument(
        "--keep", type=int, default=5, help="how many of them are proposals, the best by the metric (default: 5)"
    )
    perplexity.add_argument(
        "--rows", action="append", default=[], metavar="NAME=FILE", help="a file of training rows; may be repeated"
    )
    flops = kinds.add_parser("flops", help="FLOPs of every strategy of a comparison, and strategies at equal FLOPs")
    flops.add_argument("run", type=Path, help="folder of a comparison")
    flops.add_argument(
        "--parameters", action="append", default=[], metavar="MODEL=8B", help="size of a model; may be repeated"
    )
    flops.add_argument(
        "--basis", choices=BASES, default="cached", help="how FLOPs are counted to find equal ones (default: cached)"
    )
    curves = kinds.add_parser("curves", help="training curves side by side")
    curves.add_argument(
        "trainings", nargs="+", metavar="[NAME=]FOLDER", help="folders of trainings; those of one name are repetitions"
    )
    for kind in (flops, curves):
        kind.add_argument("--out", type=Path, help="folder (default: analysis in the first folder given)")
    for kind in kinds.choices.values():  # which gets all that stands after its name
        kind.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)


def run(arguments: argparse.Namespace, console: Console, log: Console) -> int:
    """Analyses, and shows what was found."""
    with only_errors_logged("dspy_fusion"):
        findings, draw, folder = _KINDS[arguments.analysis](arguments, log)
    for table in findings.tables:
        console.print(table.rich())
        console.print()
    for note in findings.notes:
        console.print(note, style="yellow", markup=False, highlight=False, soft_wrap=True)
    written = write_findings(findings, folder, draw)
    for path in written:
        console.print(f"  {path}", markup=False, highlight=False, soft_wrap=True)
    return 0


Found = tuple[Findings, Callable[[Path], Plot], Path]


def _grid(arguments: argparse.Namespace, log: Console) -> Found:
    config = grid_config(
        arguments.task or "",
        _names(arguments.models, "--models"),
        fusor=arguments.fusor,
        widths=_numbers(arguments.widths, "--widths"),
        depths=_numbers(arguments.depths, "--depths"),
        options={"fusor_temperature": arguments.final_temperature},
        examples=arguments.examples,
        seeds=arguments.seeds,
        temperature=arguments.temperature,
        max_concurrency=arguments.max_concurrency,
        **({"split": arguments.split} if arguments.split else {}),
        data=arguments.data,
        adapter=arguments.adapter,
    )
    summary, folder = run_grid(config, _catalogue(arguments), arguments.out, partial(RunProgress, log))
    return grid_findings(summary), partial(grid_figure, summary), folder / "plots"


def _subsets(arguments: argparse.Namespace, log: Console) -> Found:
    models = _names(arguments.models, "--models")
    folder = arguments.out or Path("runs") / f"subsets-{arguments.task}-{'-'.join(models).replace('/', '.')}"
    numbers = {"count": arguments.proposals, "size": arguments.size, "limit": arguments.subsets}
    numbers |= {"temperature": arguments.temperature, "seed": arguments.seed}
    records = run_subsets(
        _asked(arguments),
        models,
        _catalogue(arguments),
        folder,
        fusor=arguments.fusor,
        numbers=numbers,
        on_example=lambda done: log.print(f"{done} of {arguments.examples} questions", highlight=False),
    )
    return subset_findings(records), partial(subsets_figure, rank_cells(records)), folder


def _perplexity(arguments: argparse.Namespace, log: Console) -> Found:
    rows = dict(_named_file(text) for text in arguments.rows)
    folder = (
        arguments.out
        or Path("runs") / f"perplexity-{arguments.task or 'rows'}-{arguments.base.replace('/', '.').strip('.')}"
    )

    def on_progress(text: str) -> None:
        if int(text.rpartition(" ")[2]) % _STEP == 0:
            log.print(text, highlight=False)

    records = run_perplexity(
        _asked(arguments) if arguments.task else None,
        arguments.base,
        _catalogue(arguments),
        folder,
        teachers=_names(arguments.teachers, "") if arguments.teachers else (),
        references=arguments.references,
        rows=rows,
        limit=arguments.examples,
        draws=arguments.draws,
        keep=arguments.keep,
        on_progress=on_progress,
    )
    return perplexity_findings(records, base=arguments.base), partial(perplexity_figure, perplexities(records)), folder


def _flops(arguments: argparse.Namespace, log: Console) -> Found:
    told = dict(parse_size(text) for text in arguments.parameters)
    findings, computes = analyse_flops(arguments.run, told, basis=arguments.basis)
    return findings, partial(flops_figure, computes), arguments.out or arguments.run / "analysis"


def _curves(arguments: argparse.Namespace, log: Console) -> Found:
    curves = [read_curve(text) for text in arguments.trainings]
    return curve_findings(curves), partial(curves_figure, curves), arguments.out or curves[0].path.parent / "analysis"


_KINDS: dict[str, Callable[[argparse.Namespace, Console], Found]] = {
    "grid": _grid,
    "subsets": _subsets,
    "perplexity": _perplexity,
    "flops": _flops,
    "curves": _curves,
}


def _asking(kinds: Any, name: str, about: str, *, examples: int) -> argparse.ArgumentParser:
    """The parser of an analysis that asks models."""
    parser = kinds.add_parser(name, help=about)
    parser.add_argument("--task", required=name != "perplexity", help="a task, by its name")
    parser.add_argument("--examples", type=int, default=examples, help=f"of the task (default: {examples})")
    parser.add_argument("--split", default="", help="which examples (default: the task's first split)")
    parser.add_argument("--data", default="", help="local folder with the task's files")
    parser.add_argument(
        "--adapter", default="", help="how the models are asked: chat, json or plain (default: the task's way)"
    )
    parser.add_argument("--max-concurrency", type=int, default=8, help="examples worked on at a time (default: 8)")
    parser.add_argument("--models-file", type=Path, help="a models.toml")
    parser.add_argument("--out", type=Path, help="folder; the same command goes on there (default: one under runs/)")
    return parser


def _asked(arguments: argparse.Namespace) -> Asked:
    return Asked(
        arguments.task,
        arguments.examples,
        arguments.split,
        arguments.data,
        arguments.adapter,
        arguments.max_concurrency,
    )


def _catalogue(arguments: argparse.Namespace) -> ModelCatalogue:
    return load_models(arguments.models_file)


def _names(text: str, option: str) -> Sequence[str]:
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if not names:
        raise ConfigurationError(f"{option} names no model: {text!r}")
    return names


def _numbers(text: str, option: str) -> Sequence[int]:
    try:
        return [int(part) for part in text.split(",") if part.strip()]
    except ValueError as error:
        raise ConfigurationError(f"{option} must be whole numbers separated by commas, but got {text!r}") from error


def _named_file(text: str) -> tuple[str, Path]:
    name, equals, path = text.partition("=")
    if not (name and equals and path):
        raise ConfigurationError(f"--rows must be written as NAME=FILE, but got {text!r}")
    return name, Path(path)
