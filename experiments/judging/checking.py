"""``judge-check`` as a whole: pairs are read, recorded verdicts taken or models asked, and every judge is measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import dspy
from rich.console import Console

from dspy_fusion.programs import CandidateBank, PairwiseJudge
from dspy_fusion.programs.errors import ConfigurationError
from dspy_fusion.programs.pools.candidates import Usage

from ..own_tasks.adapters import ADAPTERS
from ..presentation.progress import ProgressView
from ..runs.judge_models import Models
from .asking import Answered, Asked, ask_about
from .judge_check import JudgeCheck, Orders, check, panel, panel_votes
from .pairs import RECORDED, Pair, read_pairs, sampled

DEFAULT_BANK = Path("runs") / "judge-check" / "bank.db"


@dataclass(frozen=True)
class CheckPlan:
    """What is to be checked."""

    file: Path | None = None
    """The pairs; None takes LLMBar from the folder of ``DSPY_FUSION_DATA``."""
    recorded: str = ""
    """Column of recorded verdicts; empty reads none."""
    judges: tuple[str, ...] = ()
    """Models that are asked, by their names in the catalogue."""
    form: Literal["letter", "ratings"] = "letter"
    """What the models write; see :class:`PairwiseJudge`."""
    adapter: str = "chat"
    """How they are asked: ``chat``, ``json`` or ``plain``."""
    both_orders: bool = True
    """Whether in both orders."""
    examples: int | None = None
    """How many pairs, drawn by ``seed``; None takes all."""
    seed: int = 0
    """Of the draw, and of the resampling."""
    bank: str = ""
    """Where the models' verdicts are kept; empty takes a file below ``runs``."""
    max_concurrency: int = 8
    """How many pairs are asked about at a time."""


@dataclass(frozen=True)
class CheckResult:
    """What came of a check: one entry per judge, and one for all models as a panel where there are several."""

    pairs: tuple[Pair, ...]
    checks: tuple[JudgeCheck, ...]
    asked: Mapping[str, Asked] = field(default_factory=dict)
    """Of the models that were asked, by name."""
    votes: float | None = None
    """How many independent votes the models amount to."""


def check_judges(plan: CheckPlan, models: Models, log: Console) -> CheckResult:
    """Reads, asks and measures.

    Raises:
        ConfigurationError: a file, a line, a name or an option is wrong; nothing was asked yet.
        ScorerError: a model gives no verdict that can be read.
        BankError: the bank cannot be used.
    """
    if not plan.recorded and not plan.judges:
        raise ConfigurationError(
            f"say what is checked: --judge MODEL, or --recorded for the verdicts in the column {RECORDED!r}"
        )
    pairs = sampled(read_pairs(plan.file, recorded=plan.recorded), plan.examples, seed=plan.seed)
    judges = {
        name: PairwiseJudge(Answered, models.lm(name), form=plan.form, both_orders=plan.both_orders)
        for name in plan.judges
    }
    answers = _ask(plan, pairs, judges, log) if judges else {}
    said: dict[str, Mapping[str, Orders]] = (
        {plan.recorded: {pair.id: pair.recorded for pair in pairs}} if plan.recorded else {}
    )
    said |= {name: answer.said for name, answer in answers.items()}
    each = {name: said[name] for name in answers}
    if len(each) > 1:
        said["panel"] = panel(each)
    checks = tuple(check(name, pairs, orders, seed=plan.seed) for name, orders in said.items())
    return CheckResult(pairs, checks, answers, panel_votes(pairs, each) if len(each) > 1 else None)


def total(asked: Mapping[str, Asked]) -> Usage:
    """What all models together cost."""
    return Usage.total(answer.usage for answer in asked.values())


def _ask(plan: CheckPlan, pairs: Sequence[Pair], judges: Mapping[str, PairwiseJudge], log: Console) -> dict[str, Asked]:
    bank, adapter = CandidateBank(plan.bank or _default_bank()), _adapter(plan.adapter)
    answers = {}
    for name, judge in judges.items():
        with ProgressView(log, f"pairs put to {name}", total=len(pairs)) as progress:
            answers[name] = ask_about(
                pairs,
                judge,
                bank=bank,
                adapter=adapter,
                max_concurrency=plan.max_concurrency,
                on_pair=progress.advance,
            )
    bank.close()
    return answers


def _adapter(name: str) -> dspy.Adapter:
    if name not in ADAPTERS:
        raise ConfigurationError(f"there is no adapter {name!r}; there are: {', '.join(ADAPTERS)}")
    return ADAPTERS[name]()


def _default_bank() -> str:
    try:
        DEFAULT_BANK.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"cannot make the folder {DEFAULT_BANK.parent}: {error.strerror}; name a bank with --bank"
        ) from error
    return f"sqlite:///{DEFAULT_BANK}"
