"""Thoughts before an answer are told from it, and a text about them is left as it is."""

from __future__ import annotations

import pytest

from dspy_fusion.programs.tasks.thoughts import split_thoughts

CHAT = "[[ ## answer ## ]]\nParis\n\n[[ ## completed ## ]]"


@pytest.mark.parametrize(
    ("text", "thoughts", "answer"),
    [
        ("<think>It is Paris.</think>Paris", "It is Paris.", "Paris"),
        ("\n<think>\nIt is Paris.\n</think>\n\nParis", "It is Paris.", "Paris"),
        ("<Thinking>It is.</Thinking> Paris", "It is.", " Paris"),
        ("<reasoning>It is.</reasoning>\nParis", "It is.", "Paris"),
        ("<think></think>\n\nParis", " ", "Paris"),
        ("<think>a <think>b</think> c</think>Paris", "a <think>b</think> c", "Paris"),
        ("<think>a <think>b</think>\nParis", "a <think>b", "Paris"),
        ("<think>a</think>\n<think>b</think>\nParis", "a\n\nb", "Paris"),
        ("<think>a</think>\nb\n</think>\nParis", "a\n\nb", "Paris"),
        ("Okay, the capital. It is Paris.\n</think>\n\nParis", "Okay, the capital. It is Paris.", "Paris"),
        ("It is Paris.</think>Paris", "It is Paris.", "Paris"),
        ("so it is Paris </think>\n\nParis", "so it is Paris", "Paris"),
        (f"hmm </think> {CHAT}", "hmm", f" {CHAT}"),
        ('[[ ## answer ## ]] is what they want. </think> {"answer": "Paris"}', None, '{"answer": "Paris"}'),
        (f"<think>I write [[ ## answer ## ]]\nRome first.</think>{CHAT}", None, CHAT),
        ("[THINK]It is.[/THINK]Paris", "It is.", "Paris"),
        ("◁think▷It is.◁/think▷Paris", "It is.", "Paris"),
        ("<|begin_of_thought|>a<|end_of_thought|>\n<|begin_of_solution|>Paris<|end_of_solution|>", "a", "Paris"),
        (
            "<|channel|>analysis<|message|>It is.<|end|><|start|>assistant<|channel|>final<|message|>Paris<|return|>",
            "It is.",
            "Paris",
        ),
        ("<|channel|>analysis<|message|>It is", "It is", ""),
        ("<think>\nIt is Paris", "It is Paris", ""),
        ("<think>It is Paris.</think>", "It is Paris.", ""),
        ("It is Paris.\n</think>\n", "It is Paris.", ""),
    ],
)
def test_thoughts_are_taken_off(text: str, thoughts: str | None, answer: str) -> None:
    found, rest = split_thoughts(text)
    assert rest.strip() == answer.strip()
    assert found
    if thoughts is not None:
        assert found == thoughts


@pytest.mark.parametrize(
    "text",
    [
        "Paris",
        "<think> is no tag of HTML.",
        "The tag <think> opens and </think> closes it.",
        "Close it with `</think>` and go on.",
        'Close it with "</think>" and go on.',
        "Use the </think> tag to close the block.",
        "End with </think>.",
        "```html\n<p>a</p>\n</think>\n```\nis wrong",
        "[[ ## answer ## ]]\nModels write <think>so</think> first.\n\n[[ ## completed ## ]]",
        "[[ ## answer ## ]]\nFirst line\n</think>\nwas left open\n\n[[ ## completed ## ]]",
        '{"answer": "a</think>b"}',
        "<answer>The tag </think>closes it</answer>",
        "<b>Paris</b>",
    ],
)
def test_a_text_about_thoughts_is_left_as_it_is(text: str) -> None:
    assert split_thoughts(text) == ("", text)


def test_a_fields_own_tag_is_no_thought() -> None:
    text = "<reasoning>It is.</reasoning>\n<answer>Paris</answer>"
    assert split_thoughts(text, ["reasoning", "answer"]) == ("", text)
    assert split_thoughts(f"<think>so</think>{text}", ["reasoning", "answer"]) == ("so", text)


def test_a_thought_that_ran_to_the_limit_is_no_answer() -> None:
    assert split_thoughts("<think> so the capital of France", is_cut_off=True) == ("so the capital of France", "")


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("[[ ## answer ## ]]\n<think>6 x 7</think>42\n", "[[ ## answer ## ]]\n42\n"),
        ('{"answer": "<think>6 x 7</think>\\n42"}', '{"answer": "42"}'),
        ("<answer>\n<think>6 x 7</think>\n42\n</answer>", "<answer>\n42\n</answer>"),
    ],
)  # fmt: skip
def test_thoughts_at_the_beginning_of_a_field_are_taken_off(text: str, answer: str) -> None:
    assert split_thoughts(text, ["question", "answer"]) == ("6 x 7", answer)


def test_a_field_that_speaks_of_thoughts_keeps_them() -> None:
    text = "[[ ## answer ## ]]\nWrite <think>like this</think> first."
    assert split_thoughts(text, ["answer"]) == ("", text)
