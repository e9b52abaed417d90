"""Shapes of files that hold recorded candidates, told from one another by their columns.

Each reads a row as questions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from dspy_fusion.programs.errors import ConfigurationError

from ..rows.row_files import Row
from .foreign_shapes import BatchOutput, HarnessSamples, alpaca_outputs
from .known_shapes import (
    MtBench,
    arena_bench,
    fusion_synth,
    gsm8k_pool,
    m_ifeval_pool,
    mmlu_flags,
    refine_chain,
    wmt_methods,
)
from .mapped_shape import Mapped
from .recording import RecordedQuestion

_BATCH = "openai_batch"
QUESTIONS = "questions"
"""The shape of any other file."""
Read = Callable[[Row], tuple[RecordedQuestion, ...]]
"""From a row to its questions; raises ``ValueError`` where the row cannot be used."""


@dataclass(frozen=True)
class Shape:
    """What a file looks like."""

    columns: tuple[str, ...]
    """The columns that every row has."""
    make: Callable[[Row, Path], Read]
    """From the first row and its file to what reads every row."""
    task: str = ""
    """The task whose questions these are."""
    named_after_file: bool = False
    """Whether the set is called what its file is called; otherwise it is called what the shape is."""
    is_flat: bool = False
    """Whether a question may be spread over several rows, one answer each."""


def _each(read: Callable[[Row], RecordedQuestion]) -> Read:
    return lambda row: (read(row),)


def _always(read: Callable[[Row], RecordedQuestion]) -> Callable[[Row, Path], Read]:
    return lambda *_: _each(read)


def _refine_chain(_: Row, file: Path) -> Read:
    return _each(lambda row: refine_chain(row, file.name.partition(".")[0]))


SHAPES: dict[str, Shape] = {
    "gsm8k_pool": Shape(("qid", "question", "gold", "candidates"), _always(gsm8k_pool), "gsm8k"),
    "m_ifeval_pool": Shape(
        ("id", "lang", "prompt", "instruction_id_list", "candidates"), _always(m_ifeval_pool), "ifeval"
    ),
    "arena_bench_v1": Shape(("question_id", "prompt", "reference_gpt4", "candidates"), _always(arena_bench), "arena"),
    "mt_bench": Shape(("question_id", "answers"), lambda _, file: MtBench(file), "mt_bench"),
    "fusion_translation_wmt24pp": Shape(("id", "lang", "src", "ref", "default"), _always(wmt_methods), "wmt24pp"),
    "mmlu": Shape(("subject", "question", "choices", "answer"), _always(mmlu_flags), "mmlu"),
    "refine_chains": Shape(("prompt", "predictions", "answer"), _refine_chain),
    "fusion_synth": Shape(
        ("prompt", "language_code", "input_hash", "BoN", "Fusion"), _always(fusion_synth), named_after_file=True
    ),
    "alpaca_eval": Shape(
        ("instruction", "output", "generator"), _always(alpaca_outputs), named_after_file=True, is_flat=True
    ),
    "lm_eval": Shape(("doc_id", "doc", "target", "resps"), HarnessSamples, named_after_file=True),
    "openai_batch": Shape(("custom_id", "response", "error"), lambda *_: BatchOutput(None), named_after_file=True),
}
"""Files whose columns are known, by the name of the shape."""


@dataclass(frozen=True)
class Columns:
    """What the user says about the columns of a file; anything said makes its shape ``questions``."""

    names: Mapping[str, str] = field(default_factory=dict)
    """What the columns are called, by what :class:`Mapped` calls them."""
    candidates: tuple[str, ...] = ()
    """The columns that hold the candidates, one source each."""
    score_range: tuple[float, float] | None = None
    """Lowest and highest possible score, where scores are the measure of quality."""
    requests: str = ""
    """Of the output of a batch, the file of its requests."""

    def __bool__(self) -> bool:
        """Whether anything is said."""
        return bool(self.names or self.candidates or self.score_range)


def shape_of(row: Row, *, shape: str = "", columns: Columns | None = None) -> tuple[str, Shape]:
    """The shape of a file whose first row this is, and its name.

    Args:
        row: the first row.
        shape: one of ``SHAPES`` or ``questions``; empty looks at the columns.
        columns: what the user says about them.

    Raises:
        ConfigurationError: there is no such shape, the row lacks one of its columns, or its columns fit none.
    """
    said = Columns() if columns is None else columns
    if shape and shape not in (*SHAPES, QUESTIONS):
        raise ConfigurationError(f"there is no shape {shape!r}; there are: {', '.join((*SHAPES, QUESTIONS))}")
    if shape in SHAPES and said:
        raise ConfigurationError(
            f"the shape {shape!r} has its own columns; leave out what says otherwise, or take the shape {QUESTIONS!r}"
        )
    generic = Shape(
        (),
        lambda first, _: _each(Mapped(first, said.names, said.candidates, said.score_range)),
        named_after_file=True,
        is_flat=True,
    )
    if shape == QUESTIONS or said:
        return QUESTIONS, generic
    if shape:
        for name in SHAPES[shape].columns:
            row.get(name)
    name = shape or next((name for name, known in SHAPES.items() if set(known.columns) <= row.values.keys()), "")
    if said.requests and name != _BATCH:
        raise ConfigurationError("--requests goes with the output of a batch, whose rows have custom_id and response")
    if name == _BATCH and said.requests:
        return name, replace(SHAPES[name], make=lambda *_: BatchOutput(Path(said.requests)))
    if name:
        return name, SHAPES[name]
    if Mapped.fits(row):
        return QUESTIONS, generic
    raise ConfigurationError(
        f"{row.where}: the columns {', '.join(row.values)} fit no known shape ({', '.join(SHAPES)}); name them, as in "
        "--map question=COLUMN --map candidates=COLUMN, or --map text=COLUMN where each row is one answer"
    )
