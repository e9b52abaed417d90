"""MBPP, its hand-verified part: 427 short Python functions from a sentence each (arXiv 2108.07732).

The first test of each is shown, for it tells the function's name and arguments; the others are hidden and grade. Task
numbers 11 to 510 are the test split, 511 to 600 the validation split, the others up to 974 the training split.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

import dspy

from ..rows.row_files import Row
from ..rows.sources import Source
from .code_writing import code_task
from .loading import Loader, UnreadableAnswer
from .task import Setup, Task

SOURCE = Source(
    licence="CC-BY-4.0",
    url="https://github.com/google-research/google-research/tree/master/mbpp",
    citation="arXiv 2108.07732",
    hub="google-research-datasets/mbpp",
    config="sanitized",
    revision="4bb6404fdc6cacfda99d4ac4205087b89d32030c",
    splits=MappingProxyType({"test": "test", "validation": "validation", "train": "train"}),
    files=MappingProxyType({split: (f"mbpp/{split}", "mbpp/sanitized") for split in ("test", "validation", "train")}),
    sizes=MappingProxyType({"test": 257, "validation": 43, "train": 120}),
)
INSTANCE = MappingProxyType(
    {
        "problem": "Write a function that doubles a number.\nIt must pass this test: assert double(4) == 8",
        "code": "def double(x):\n    return 2 * x",
    }
)
_SHOWN = "It must pass this test: "
_RANGES = {"test": range(11, 511), "validation": range(511, 601), "train": range(601, 975)}


def make_task(setup: Setup) -> Task:
    """The task."""
    loaders = {split: Loader(SOURCE, setup, partial(_example, split)) for split in SOURCE.files}
    return code_task(
        "mbpp",
        setup,
        SOURCE,
        lambda split, n: _loader(loaders, split)(split, n),
        instance=INSTANCE,
        visible_tests=shown,
    )


def shown(inputs: Mapping[str, Any]) -> list[str]:
    """The test that a problem shows."""
    match = re.search(rf"{_SHOWN}(.*)\Z", str(inputs["problem"]), re.DOTALL)
    return [match[1]] if match else ["pass"]


def _loader(loaders: Mapping[str, Loader], split: str) -> Loader:
    return loaders.get(split) or next(iter(loaders.values()))  # any loader says which splits there are


def _example(split: str, row: Row, language: str, number: int) -> dspy.Example | None:
    try:
        task, tests = int(str(row.get("task_id"))), [str(test) for test in row.get("test_list") or []]
    except (TypeError, ValueError) as error:
        raise UnreadableAnswer(f"the task_id {row.get('task_id')!r} is no number") from error
    if task not in _RANGES[split]:
        return None
    if len(tests) < 2:
        raise UnreadableAnswer(f"task {task} has {len(tests)} tests; one is shown, and another must grade")
    imports = "\n".join(str(line) for line in row.get("test_imports") or [])
    return dspy.Example(
        id=f"mbpp/{task}",
        problem=f"{str(row.get('prompt') or row.get('text')).strip()}\n{_SHOWN}{tests[0]}",
        code=str(row.get("code") or ""),
        prelude=imports,
        tests=tests[1:],
    ).with_inputs("problem")
