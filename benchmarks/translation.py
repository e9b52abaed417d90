"""Is recorded fusion better than recorded best of 5? ``python -m benchmarks.translation --data FOLDER``.

Recorded WMT24++ translations of 960 segments into four languages by five methods: chrF of the corpus and of the mean
segment, lengths, and each comparison with an interval over documents, per language and over all. Every corpus score is
checked against sacrebleu's.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from dspy_fusion.experiments.presentation.text_table import TextTable, p_text, percent, points
from dspy_fusion.experiments.rows.sources import data_folder
from dspy_fusion.experiments.statistics.significance import ALPHA, holm
from dspy_fusion.experiments.tasks.translation_metrics import corpus_chrf
from dspy_fusion.programs.errors import ConfigurationError, FusionError

from .recorded_translations import METHODS, Language, read_language
from .translation_contest import CORPUS, SENTENCES, Contest, Measure, contest, score

LANGUAGES = ("et", "ro", "tr", "uk")
PAIRS = (
    ("usi5_fusion", "bon5"),
    ("usi5_fusion", "default"),
    ("bon5", "default"),
    ("trank5", "bon5"),
    ("trank5", "usi5_fusion"),
)
_AGREEMENT = 1e-9  # between our chrF and sacrebleu's, in [0, 1]


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the tables; the exit code is 1 where a corpus score differs from sacrebleu's."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="folder with fusion_translation_wmt24pp/; by default that of DSPY_FUSION_DATA")
    parser.add_argument("--segments", type=int, help="read no more than so many segments of each language")
    options = parser.parse_args(arguments)
    try:
        folder = data_folder(options.data)
        if folder is None:
            raise ConfigurationError("name the folder of recorded translations with --data or DSPY_FUSION_DATA")
        if options.segments is not None and options.segments < 1:
            raise ConfigurationError(f"--segments must be at least 1, but got {options.segments}")
        return _report(folder / "fusion_translation_wmt24pp", options.segments)
    except FusionError as error:
        print(error, file=sys.stderr)
        return 2


def _report(folder: Path, most: int | None) -> int:
    started = time.monotonic()
    languages = [read_language(folder / f"{name}.jsonl.gz", most=most) for name in LANGUAGES]
    apart = max(_difference_to_sacrebleu(language) for language in languages)
    print(
        f"{sum(len(language.documents) for language in languages)} segments counted in"
        f" {time.monotonic() - started:.1f} s"
    )
    print(f"largest difference between our corpus chrF and sacrebleu's: {100 * apart:.1e} points\n")
    started = time.monotonic()
    for table in (*(_score_table(languages, measure) for measure in (CORPUS, SENTENCES)), _length_table(languages)):
        _print(table)
    for one, other in PAIRS:
        _print(_pair_table(languages, one, other))
    for measure in (CORPUS, SENTENCES):
        print(_answer(languages, "usi5_fusion", "bon5", measure))
    _print_without_empty(languages, "usi5_fusion", "bon5")
    print(f"\nintervals and p values in {time.monotonic() - started:.1f} s")
    return 1 if apart > _AGREEMENT else 0


def _difference_to_sacrebleu(language: Language) -> float:
    theirs = {name: corpus_chrf(method.texts, language.references) for name, method in language.methods.items()}
    ours = {name: float(CORPUS.value(CORPUS.sums(language, name).sum(axis=0))) for name in language.methods}
    return max(abs(ours[name] - theirs[name]) for name in theirs)


def _score_table(languages: Sequence[Language], measure: Measure) -> TextTable:
    rows = [(language.name, *(_score([language], method, measure) for method in METHODS)) for language in languages]
    rows.append(("all", *(_score(languages, method, measure) for method in METHODS)))
    return TextTable(f"{measure.name} x 100 [95 % over documents]", ("", *METHODS), tuple(rows))


def _score(languages: Sequence[Language], method: str, measure: Measure) -> str:
    return (
        percent(score(languages, method, measure)) if all(method in language.methods for language in languages) else ""
    )


def _length_table(languages: Sequence[Language]) -> TextTable:
    rows = []
    for language in languages:
        reference = sum(map(len, language.references))
        cells = {
            name: f"{m.characters.sum() / reference:.3f} ({int(m.empty.sum())})" for name, m in language.methods.items()
        }
        rows.append((language.name, *(cells.get(name, "") for name in METHODS)))
    return TextTable("characters, as a share of the reference's (segments left empty)", ("", *METHODS), tuple(rows))


def _pair_table(languages: Sequence[Language], one: str, other: str) -> TextTable:
    usable = [language for language in languages if {one, other} <= language.methods.keys()]
    rows = [[language.name, *_lengths(language, one, other)] for language in usable] + [["all", "", ""]]
    for measure in (CORPUS, SENTENCES):
        fought = _contests(usable, one, other, measure)
        adjusted = [
            *holm([outcome.p for outcome in fought[:-1]]),
            fought[-1].p,
        ]  # all together is one question, asked once
        for row, outcome, p in zip(rows, fought, adjusted, strict=True):
            row += [points(outcome.difference), p_text(p)]
    heads = (
        "",
        "segments won-tied-lost",
        "length ratio",
        "corpus [95 %]",
        "p (Holm)",
        "mean segment [95 %]",
        "p (Holm)",
    )
    return TextTable(f"{one} minus {other}, chrF x 100", heads, tuple(map(tuple, rows)))


def _contests(languages: Sequence[Language], one: str, other: str, measure: Measure) -> list[Contest]:
    """Each language alone, and then all together."""
    return [contest(some, one, other, measure) for some in (*([language] for language in languages), languages)]


def _lengths(language: Language, one: str, other: str) -> tuple[str, str]:
    ours, theirs = language.methods[one], language.methods[other]
    gains = ours.sentences - theirs.sentences
    ratio = ours.characters.sum() / theirs.characters.sum()
    return f"{(gains > 0).sum()}-{(gains == 0).sum()}-{(gains < 0).sum()}", f"{ratio:.3f}"


def _answer(languages: Sequence[Language], one: str, other: str, measure: Measure) -> str:
    """In words: where ``one`` is better, worse, or not told apart from ``other``."""
    fought = _contests(languages, one, other, measure)
    p_values = holm([outcome.p for outcome in fought[:-1]])
    told: dict[str, list[str]] = {"better": [], "worse": [], "not told apart": []}
    for language, outcome, p in zip(languages, fought[:-1], p_values, strict=True):
        told["not told apart" if p >= ALPHA else "better" if outcome.difference.mean > 0 else "worse"].append(
            language.name
        )
    words = "; ".join(f"{how} in {', '.join(names)}" for how, names in told.items() if names)
    whole = fought[-1]
    return f"{measure.name}: {one} against {other} is {words}; over all {points(whole.difference)}, p={whole.p:.4f}"


def _print_without_empty(languages: Sequence[Language], one: str, other: str) -> None:
    """The same contests without the segments that ``one`` left empty, in each language that has such, and over all."""
    some = [language.without(language.methods[one].empty) for language in languages]
    short = [
        (before, after)
        for before, after in zip(languages, some, strict=True)
        if len(after.documents) < len(before.documents)
    ]
    for before, after in short:
        left_out = len(before.documents) - len(after.documents)
        print(f"{after.name} without the {left_out} segments that {one} left empty: {_both([after], one, other)}")
    if short:
        print(f"over all without them: {_both(some, one, other)}")


def _both(languages: Sequence[Language], one: str, other: str) -> str:
    contests = {measure.name: contest(languages, one, other, measure) for measure in (CORPUS, SENTENCES)}
    return ", ".join(f"{name} {points(some.difference)}, p={some.p:.4f}" for name, some in contests.items())


def _print(table: TextTable) -> None:
    widths = [max(len(row[x]) for row in (table.heads, *table.rows)) for x in range(len(table.heads))]
    print(table.title)
    for row in (table.heads, *table.rows):
        print("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    print()


if __name__ == "__main__":
    sys.exit(main())
