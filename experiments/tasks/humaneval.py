"""HumanEval: 164 Python functions to be written from their heads and descriptions (arXiv 2107.03374).

An answer may repeat the head or go on after it; the examples in the description (``>>>``) are the tests it may see.
"""

from __future__ import annotations

import doctest
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import dspy

from ..rows.row_files import Row
from ..rows.sources import Source
from .code_writing import code_task
from .loading import Loader, UnreadableAnswer
from .task import Setup, Task

SOURCE = Source(
    licence="MIT",
    url="https://github.com/openai/human-eval",
    citation="arXiv 2107.03374",
    hub="openai/openai_humaneval",
    revision="7dce6050a7d6d172f3cc5c32aa97f52fa1a2e544",
    splits=MappingProxyType({"test": "test"}),
    files=MappingProxyType({"test": ("humaneval/test",)}),
    sizes=MappingProxyType({"test": 164}),
)
INSTANCE = MappingProxyType(
    {
        "problem": 'def double(x: int) -> int:\n    """Twice the number.\n    >>> double(4)\n    8\n    """\n',
        "code": "def double(x: int) -> int:\n    return 2 * x",
    }
)


def make_task(setup: Setup) -> Task:
    """The task."""
    loader = Loader(SOURCE, setup, _example)
    return code_task("humaneval", setup, SOURCE, loader, instance=INSTANCE, visible_tests=visible_tests)


def visible_tests(inputs: Mapping[str, Any]) -> list[str]:
    """The examples in a problem's description as assertions; without any, that the code can be executed."""
    try:
        examples = doctest.DocTestParser().get_examples(str(inputs["problem"]))
    except ValueError:
        examples = []
    calls = [(example.source.strip(), example.want.strip()) for example in examples if example.want.strip()]
    return [
        f"assert repr({source}) == repr({want})" for source, want in calls if _is_value(source) and _is_value(want)
    ] or ["pass"]


def _is_value(text: str) -> bool:
    try:
        compile(text, "<want>", "eval")
    except SyntaxError:
        return False
    return True


def _example(row: Row, language: str, number: int) -> dspy.Example:
    head, name, tests = (str(row.get(key) or "") for key in ("prompt", "entry_point", "test"))
    if not (head and name and "def check" in tests):
        raise UnreadableAnswer("it lacks prompt, entry_point or a test with check(candidate)")
    return dspy.Example(
        id=str(row.get("task_id")),
        problem=head,
        code=head + str(row.get("canonical_solution") or ""),
        head=head,
        entry_point=name,
        prelude=head + "    pass\n",  # helpers and imports of the head stay, the function is defined anew
        tests=[f"{tests}\ncheck({name})"],
    ).with_inputs("problem")
