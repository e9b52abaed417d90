"""Does fusing help a small model, or choosing? ``python -m benchmarks.real_models`` replays the recorded study.

Real models of 0.1 to 1.5 B parameters on MBPP, HumanEval, GSM8K and IFEval: one answer, votes, best of N by
likelihood, by a visible test, by equal outputs and by the model itself, fusion, two layers, gates and adaptive N, on
one pool a question. The questions come from the hub, or from the folder named by DSPY_FUSION_DATA.

    python -m benchmarks.real_models                       the tables, from what is in the repository
    python -m benchmarks.real_models --tune                what tuning gains, replayed
    python -m benchmarks.real_models --record FOLDER       asks the models; goes on where it was
    python -m benchmarks.real_models --export FOLDER       packs what was recorded
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from dspy_fusion.experiments.presentation.quiet import only_errors_logged
from dspy_fusion.experiments.reports.tables import cost_table, pool_table, quality_table
from dspy_fusion.programs.errors import FusionError

from .exporting import export
from .grid import draw_grid
from .plan import STUDIES
from .recording import draw
from .replaying import RECORDINGS, about, curve_table, replayed
from .tuning import tune

_STAGES = "mbpp:150,gsm8k:150,ifeval:100,mbpp:60:deep,gsm8k:60:deep,ifeval:60:deep,humaneval:164"


def main() -> None:
    """Replays, tunes, records or packs."""
    options = _options()
    console = Console(width=170)
    with only_errors_logged("dspy_fusion"), only_errors_logged("dspy.clients.lm"), _in_one_line():
        if options.record:
            _record(options)
        elif options.export:
            print(export(options.export, options.recordings))
        elif options.tune:
            _tune(options, console)
        else:
            _replay(options, console)


@contextmanager
def _in_one_line() -> Iterator[None]:
    """What cannot be replayed, recorded or packed is said without a traceback."""
    try:
        yield
    except FusionError as error:
        sys.exit(f"benchmarks.real_models: {error}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recordings", type=Path, default=RECORDINGS, help="folder of packed recordings")
    parser.add_argument("--studies", nargs="+", choices=tuple(STUDIES), default=tuple(STUDIES))
    parser.add_argument("--most", type=int, default=1000, help="questions of each, to see less of them sooner")
    parser.add_argument("--tune", action="store_true")
    parser.add_argument("--record", type=Path, metavar="FOLDER")
    parser.add_argument(
        "--stages", default=_STAGES, help="name:questions[:deep] or grid:questions, one after another, by commas"
    )
    parser.add_argument("--threads", type=int, default=1, help="of llama.cpp; more than one only on idle cores")
    parser.add_argument("--minutes", type=float, default=60.0, help="after which no further question is begun")
    parser.add_argument("--export", type=Path, metavar="FOLDER")
    options = parser.parse_args()
    for stage in options.stages.split(","):
        if not re.fullmatch(rf"({'|'.join([*STUDIES, 'grid'])}):[1-9]\d*(:deep)?", stage):
            parser.error(
                f"--stages: {stage!r} is none of {', '.join(STUDIES)} or grid with a number, as in mbpp:60:deep"
            )
    return options


def _record(options: argparse.Namespace) -> None:
    until = time.time() + 60 * options.minutes
    for name, count, *deep in (stage.split(":") for stage in options.stages.split(",")):
        if name == "grid":
            draw_grid(options.record, int(count), threads=options.threads, until=until)
            continue
        draw(STUDIES[name], options.record, int(count), deep=bool(deep), threads=options.threads, until=until)


def _tune(options: argparse.Namespace, console: Console) -> None:
    known = about(options.recordings)["mbpp"]
    for every_knob, key in ((False, "questions"), (True, "questions_with_every_instruction")):
        if count := min(options.most, known.get(key, 0)):
            for table in tune(count, every_knob=every_knob, folder=options.recordings):
                console.print(table.rich())


def _replay(options: argparse.Namespace, console: Console) -> None:
    known = about(options.recordings)
    for name in options.studies:
        for key, deep in (("questions", False), ("questions_with_every_arm", True)):
            count = min(options.most, known.get(name, {}).get(key, 0))
            if not count:
                continue
            with tempfile.TemporaryDirectory() as place:
                views = replayed(STUDIES[name], count, Path(place) / "run", deep=deep, folder=options.recordings)
            title = f"{name}: {count} questions{', every arm' if deep else ''}, {known[name]['model']}"
            console.rule(title)
            for table in (quality_table(views.summary), cost_table(views.summary, by_role=False)):
                console.print(table.rich())
            console.print(pool_table(views.summary).rich())
            console.print(curve_table(views.summary).rich())
            console.print(str(views.verdict), markup=False, highlight=False)


if __name__ == "__main__":
    main()
