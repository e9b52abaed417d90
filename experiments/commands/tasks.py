"""``dspy-fusion tasks``: the tasks there are, or all about one of them."""

from __future__ import annotations

import argparse

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from dspy_fusion.programs import task_signature
from dspy_fusion.programs.errors import ConfigurationError

from ..tasks import TASKS, Task, load_task
from ..tasks.named_objects import offered_tasks


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which task."""
    parser.add_argument("name", nargs="?", help="a task, to be told its splits, files, prompt and an example")


def run(arguments: argparse.Namespace, console: Console, log: Console) -> int:
    """Lists the tasks, or describes one."""
    if arguments.name is None:
        _list(console, log)
    else:
        _describe(load_task(arguments.name), console)
    return 0


def _list(console: Console, log: Console) -> None:
    table = Table(title="Tasks", title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    for head in ("name", "splits", "languages", "answers are", "graded by", "licence", "source"):
        table.add_column(head, overflow="fold")
    for name in (*TASKS, *(name for name in offered_tasks() if name not in TASKS)):
        try:
            task = load_task(name)
        except ConfigurationError as error:  # of another package, which may be broken
            log.print(str(error), style="yellow", markup=False, highlight=False, soft_wrap=True)
            continue
        languages = str(len(task.source.languages) or 1)
        table.add_row(
            *map(
                escape, (name, _splits(task), languages, _kind(task), _grader(task), task.source.licence, _place(task))
            )
        )
    console.print(table)
    console.print(
        "Rows come from the hub, or from the folder named by --data or DSPY_FUSION_DATA; dspy-fusion tasks NAME says"
        " more."
    )


def _describe(task: Task, console: Console) -> None:
    source = task.source
    asked = task_signature(task.program(task.instructions))
    facts = {
        "source": f"{source.url}{f' ({source.citation})' if source.citation else ''}",
        "licence": source.licence,
        "hub": f"{source.hub} {source.config} @ {source.revision or 'newest'}" if source.hub else "not there",
        "splits": _splits(task),
        "languages": ", ".join(f"{code} ({name})" for code, name in source.languages.items()) or "one",
        "files": _files(task),
        "asks": f"{', '.join(asked.input_fields)} -> {', '.join(asked.output_fields)}",
        "answers are": _kind(task),
        "graded by": _grader(task),
        "instructions": task.instructions,
    }
    for head, text in facts.items():
        console.print(f"[bold]{head}[/]: {escape(text)}", highlight=False, soft_wrap=True)
    console.print("[bold]an example[/]:")
    for field, value in task.instance.items():
        console.print(f"  {field}: {value}", markup=False, highlight=False, soft_wrap=True)


def _files(task: Task) -> str:
    """What the files are called in a local folder; of a language each, that of the first."""
    language = next(iter(task.source.languages), "")
    names = [task.source.local_names(split, language)[0] for split in task.splits if split in task.source.files]
    return (", ".join(names) or "none needed") + (
        ", and so on for each language" if task.source.is_split_by_language else ""
    )


def _splits(task: Task) -> str:
    sizes = task.source.sizes
    return ", ".join(f"{split} {sizes[split]:,}" if split in sizes else split for split in task.splits)


def _kind(task: Task) -> str:
    return "comparable" if task.comparable else "open"


def _grader(task: Task) -> str:
    return "a judge" if task.needs_judge else "a rule"


def _place(task: Task) -> str:
    return task.source.hub or task.source.url
