"""Our IFEval checks against recorded ones: ``python -m benchmarks.ifeval_agreement --data FOLDER``.

Of the recorded responses of thirteen models to M-IFEval's prompts in four languages: which share of flags agrees, by
language and by type of instruction; each kind of difference with an example; and each model's four official scores,
from our flags and from the recorded ones.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from statistics import mean

from dspy_fusion.experiments.rows.row_files import read_file
from dspy_fusion.experiments.rows.sources import data_folder
from dspy_fusion.experiments.tasks.ifeval_rules import bind_all, official_scores
from dspy_fusion.programs.errors import ConfigurationError, FusionError

from .ifeval_flags import Comparison, Difference, compare_recorded, differences
from .known_differences import KINDS, kind_of

LANGUAGES = ("en", "es", "fr", "ja")
_LEVELS = (False, True)  # strict, loose


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the tables; the exit code is 1 where a difference is of no known kind."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="folder with m_ifeval_pool/ and ifeval/; by default that of DSPY_FUSION_DATA")
    options = parser.parse_args(arguments)
    try:
        folder = data_folder(options.data)
        if folder is None:
            raise ConfigurationError("name the folder of recorded responses with --data or DSPY_FUSION_DATA")
        return _report(folder)
    except FusionError as error:
        print(error, file=sys.stderr)
        return 2


def _report(folder: Path) -> int:
    started = time.monotonic()
    rows = [
        one for language in LANGUAGES for one in compare_recorded(folder / "m_ifeval_pool" / f"{language}.jsonl.gz")
    ]
    print(
        f"{len(rows)} responses, {sum(len(one.instructions) for one in rows)} instructions,"
        f" {time.monotonic() - started:.0f} s"
    )
    official = list(read_file(folder / "ifeval" / "input_data.jsonl.gz"))
    bound = [bind_all(row.get("instruction_id_list"), row.get("kwargs"), where=row.where) for row in official]
    types = {instruction.id for instructions in bound for instruction in instructions}
    print(
        f"IFEval's {len(official)} prompts: {sum(map(len, bound))} instructions of {len(types)} types, all of them"
        " known"
    )
    different = [difference for one in rows for difference in differences(one)]
    _print_agreement(rows, different)
    unexplained = _print_kinds(different)
    for language in LANGUAGES:
        _print_scores(language, [one for one in rows if one.language == language])
    return 1 if unexplained else 0


def _print_agreement(found: Sequence[Comparison], different: Sequence[Difference]) -> None:
    flags = Counter(instruction.id for one in found for instruction in one.instructions)
    missed = Counter((difference.instruction, difference.loose) for difference in different)
    print(f"\n{'flags that agree':58}{'flags':>7}{'strict':>16}{'loose':>16}")
    for language in LANGUAGES:
        names = [name for name in flags if name.startswith(f"{language}:")]
        _print_row(language, names, flags, missed)
    _print_row("all", list(flags), flags, missed)
    print("\nby type of instruction (types without a difference are counted, not listed)")
    apart = [name for name in flags if missed[name, False] or missed[name, True]]
    _print_row(f"{len(flags) - len(apart)} types", [name for name in flags if name not in apart], flags, missed)
    for name in sorted(apart):
        _print_row(name, [name], flags, missed)


def _print_row(label: str, names: Sequence[str], flags: Counter[str], missed: Counter[tuple[str, bool]]) -> None:
    total = sum(flags[name] for name in names)
    faults = [sum(missed[name, loose] for name in names) for loose in _LEVELS]
    print(
        f"{label:58}{total:>7}" + "".join(f"{f'{100 * (1 - count / total):.2f} % (-{count})':>16}" for count in faults)
    )


def _print_kinds(different: Sequence[Difference]) -> int:
    """Prints why flags differ and returns for how many there is no known reason."""
    print("\nwhy flags differ (strict + loose)")
    for kind in KINDS:
        covered = [difference for difference in different if kind_of(difference) is kind]
        loose = sum(difference.loose for difference in covered)
        if covered:
            first = covered[0]
            print(f"- {kind.name}: {len(covered) - loose} + {loose}, as {first.prompt} of {first.model}")
            print(f"  {kind.reason}; nearer the definition: {kind.nearer}")
    unknown = [difference for difference in different if kind_of(difference) is None]
    print(f"- no known reason: {len(unknown)}")
    for difference in unknown:
        print(f"  {difference}")
    return len(unknown)


def _print_scores(language: str, found: Sequence[Comparison]) -> None:
    print(
        f"\n{language}, per cent: ours"
        f" (recorded){'prompt strict':>21}{'prompt loose':>19}{'instr. strict':>19}{'instr. loose':>19}"
    )
    models = dict.fromkeys(one.model for one in found)
    for model in models:
        rows = [one for one in found if one.model == model]
        sides = [official_scores(one.ours for one in rows), official_scores(one.recorded for one in rows)]
        pairs = zip(*(vars(side).values() for side in sides), strict=True)
        print(f"{model.split('__')[-1][:32]:32}" + "".join(_pair(*pair) for pair in pairs))
    for place, name in enumerate(("best model", "mean of models", "oracle of the models")):
        pairs = (
            (_of_pool(found, loose, ours=True)[place], _of_pool(found, loose, ours=False)[place]) for loose in _LEVELS
        )
        print(f"{name:32}" + "".join(_pair(*pair) for pair in pairs))


def _of_pool(found: Sequence[Comparison], loose: bool, *, ours: bool) -> tuple[float, float, float]:
    """On the level of prompts.

    The best model's score, the mean of all, and the share of prompts that some model gets right.
    """
    by_model: dict[str, list[bool]] = {}
    by_prompt: dict[str, bool] = {}
    for one in found:
        side = one.ours if ours else one.recorded
        right = all(side.loose if loose else side.strict)
        by_model.setdefault(one.model, []).append(right)
        by_prompt[one.prompt] = by_prompt.get(one.prompt, False) or right
    scores = [mean(rights) for rights in by_model.values()]
    return max(scores), mean(scores), mean(by_prompt.values())


def _pair(ours: float, recorded: float) -> str:
    return f"{f'{100 * ours:.1f} ({100 * recorded:.1f})':>19}"


if __name__ == "__main__":
    sys.exit(main())
