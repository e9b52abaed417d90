from __future__ import annotations

from dspy_fusion.experiments.presentation.figure_style import COLORS, OWN_COLORS, colors_of


def test_own_programs_have_a_colour_each_and_ours_keep_theirs() -> None:
    programs = {"fusion": "fusion", "one": "single", "mine": "my.module:factory", "yours": "my.module:Other"}
    programs |= {"fused": "dspy_fusion.programs.fusion:Fusion", "fused again": "dspy_fusion.programs.fusion:Fusion"}
    colors = colors_of(programs)
    assert (colors["fusion"], colors["one"], colors["fused"]) == (COLORS["fusion"], COLORS["single"], COLORS["fusion"])
    assert (colors["mine"], colors["yours"], colors["fused again"]) == OWN_COLORS[:3]


def test_more_own_programs_than_colours_begin_again() -> None:
    colors = colors_of({f"program {place}": "my.module:factory" for place in range(12)})
    assert len(set(colors.values())) == len(OWN_COLORS) == 10
    assert colors["program 10"] == colors["program 0"]


def test_a_class_of_ones_own_with_our_name_is_not_taken_for_ours() -> None:
    assert colors_of({"mine": "my.module:Fusion"}) == {"mine": OWN_COLORS[0]}
