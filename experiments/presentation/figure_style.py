"""How figures look. A program has the same colour in every figure of every run, so figures can be laid side by side."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

ALL_AGREE = "all candidates agree"
NEW = "new"
"""Where right and wrong cannot be told apart, as in running text."""
NEW_RIGHT = "new, right"
NEW_WRONG = "new, wrong"
MISSING = "missing"
OTHERS = "other models"

COLORS = {
    "single": "#7f7f7f",
    "vote": "#2a9d8f",
    "vote_parts": "#8a9a2b",
    "best_of_n": "#3a6ea5",
    "oracle": "#222222",
    "fusion": "#d1495b",
    "propose_aggregate": "#8e5aa8",
    "fresh_solve": "#c98a1b",
}
OWN_COLORS = (
    "#e08214", "#1f78b4", "#4d9221", "#c51b7d", "#6a51a3", "#b15928", "#0f8a8a", "#b59a00", "#5e6b7a", "#e377a8"
)  # fmt: skip
"""For programs of the user's own, in the order in which they are named."""
_OURS = {"Vote": "vote", "BestOfN": "best_of_n", "Fusion": "fusion", "ProposeAggregate": "propose_aggregate"}
MARKERS = {"single": "o", "select": "s", "parts": "D", "oracle": "*", "fuse": "o", "control": "^"}
MODEL_COLORS = ("#4e79a7", "#f2a541", "#59a14f", "#b07aa1", "#76b7b2", "#9c755f", "#edc948", "#86bcb6")
ORIGIN_COLORS = {
    ALL_AGREE: "#d9d9d9",
    OTHERS: "#a3a3a3",
    NEW: "#d1495b",
    NEW_RIGHT: "#d1495b",
    NEW_WRONG: "#5c1f28",
    MISSING: "#ffffff",
}
DARK = (ORIGIN_COLORS[NEW_RIGHT], ORIGIN_COLORS[NEW_WRONG], MODEL_COLORS[0])
STYLE: dict[Any, Any] = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#888888",
    "axes.grid": True,
    "grid.color": "#ececec",
    "axes.axisbelow": True,
    "svg.fonttype": "path",
    "text.parse_math": False,  # a dollar sign in a name is a dollar sign
    "svg.hashsalt": "dspy-fusion",
}


def color_of(program: str) -> str:
    """The colour of one of our programs by its name in a configuration."""
    return COLORS[program]


def colors_of(programs: Mapping[str, str]) -> dict[str, str]:
    """The colours of strategies, given their programs as ``fusion`` or ``package.module:name``.

    The first of the user's own programs that is one of our classes has the colour which that class has everywhere; all
    others of the user's own have one each, and start again behind the tenth.
    """
    own, free, taken = itertools.cycle(OWN_COLORS), dict(_OURS), {}
    for name, program in programs.items():
        module, _, kind = program.partition(":")
        ours = free.pop(kind, "") if module.startswith("dspy_fusion.") else program
        taken[name] = COLORS.get(ours) or next(own)
    return taken
