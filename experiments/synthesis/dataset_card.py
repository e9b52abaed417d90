"""The files beside an exported data set.

A card for people and the hub, and what LLaMA-Factory wants to be told of a data set.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import DatasetCardData

from .folder import StoredSynthesis
from .totals import Totals
from .training_rows import Shape

UNKNOWN = "unknown"
_SIZES = (
    (1_000, "n<1K"),
    (10_000, "1K<n<10K"),
    (100_000, "10K<n<100K"),
    (1_000_000, "100K<n<1M"),
    (10_000_000, "1M<n<10M"),
)
_WHAT = {
    "sft": "Conversations for supervised fine-tuning, the answer last.",
    "aft": (
        "Conversations for aggregation fine-tuning (arXiv 2501.11877): the system message holds several proposed"
        " responses, the last message is the answer that was made of them."
    ),
    "preference": "Pairs for preference training: `prompt`, the better answer `chosen` and the worse one `rejected`.",
}


def llama_factory_entry(shape: Shape, name: str, file: str) -> dict[str, Any]:
    """What ``dataset_info.json`` says of the data set, so that ``dataset:
    NAME`` with ``dataset_dir`` set to the folder trains on it.
    """
    if shape.format == "preference":
        columns = {"prompt": "prompt", "chosen": "chosen", "rejected": "rejected"} | (
            {"system": "system"} if shape.system else {}
        )
        return {name: {"file_name": file, "ranking": True, "columns": columns}}
    tags = {
        "role_tag": "role",
        "content_tag": "content",
        "user_tag": "user",
        "assistant_tag": "assistant",
        "system_tag": "system",
    }
    return {name: {"file_name": file, "formatting": "sharegpt", "columns": {"messages": "messages"}, "tags": tags}}


def card(stored: StoredSynthesis, shape: Shape, totals: Totals, *, examples: int, file: str, licence: str) -> str:
    """The card as Markdown with its head in YAML.

    Args:
        stored: where the rows came from.
        shape: what was made of them.
        totals: counts over the rows.
        examples: how many examples the file has.
        file: its name.
        licence: of the data set, as its publisher states it.
    """
    title = stored.config.title or f"{shape.format} data from {Path(stored.config.prompts.name).name}"
    parts = [
        _head(stored, shape, totals, examples=examples, file=file, licence=licence, title=title),
        f"# {title}",
        _WHAT[shape.format],
    ]
    return "\n\n".join([*parts, _sources(stored), _making(stored, shape), _counts(totals, examples)]) + "\n"


def _head(
    stored: StoredSynthesis, shape: Shape, totals: Totals, *, examples: int, file: str, licence: str, title: str
) -> str:
    data = DatasetCardData(
        license=licence,
        pretty_name=title,
        language=[name for name, count in totals.languages.most_common() if count] or None,
        tags=["synthetic", "dspy-fusion", shape.format],
        size_categories=next((label for most, label in _SIZES if examples < most), "n>10M"),
        configs=[{"config_name": "default", "data_files": [{"split": "train", "path": file}]}],
    )
    return f"---\n{data.to_yaml()}\n---"


def _sources(stored: StoredSynthesis) -> str:
    prompts = ", ".join(f"{key} `{value}`" for key, value in stored.about["prompts"].items() if value not in ("", None))
    note = (
        "Check the terms of the prompts and of every model below before publishing: they may limit what their output is"
        " used for."
    )
    return f"## Sources\n\nPrompts: {prompts}.\n\n{note}"


def _making(stored: StoredSynthesis, shape: Shape) -> str:
    config, models = stored.config, stored.about["models"]
    samples = f"{config.samples} sample(s) at temperature {config.temperature:g}"
    lines = [f"- teacher `{name}`: {_model(models[name])}, {samples}" for name in config.teachers]
    if config.best is not None:
        lines.append(
            f"- best candidate by `{config.best.scorer}`"
            + (f", model `{config.best.model}`" if config.best.model else "")
        )
    if config.fusion is not None:
        lines.append(
            f"- fusor `{config.fusion.fusor}`: {_model(models[config.fusion.fusor])}, told:"
            f" {stored.about['instructions']}"
        )
    if shape.format == "aft":
        lines.append(f"- the aggregator is told: {shape.instructions}")
    gates = ", ".join(f"{key} = {json.dumps(value)}" for key, value in vars(config.gates).items())
    lines += [
        f"- gates: {gates}",
        f"- seed {config.seed}, synthesis `{config.digest}`, made with dspy-fusion {_version(stored.about)}",
    ]
    return "\n".join(["## How it was made", "", *lines])


def _counts(totals: Totals, examples: int) -> str:
    lines = [
        "## Counts",
        "",
        "| | |",
        "| --- | ---: |",
        f"| prompts worked on | {totals.rows} |",
        f"| rows kept | {totals.kept} |",
    ]
    lines += [f"| dropped: {gate} | {count} |" for gate, count in totals.plain()["dropped"].items()]
    lines += [f"| examples in this file | {examples} |"]
    lines += [
        f"| tokens, {role} | {usage.tokens_in} in, {usage.tokens_out} out |" for role, usage in totals.usage.items()
    ]
    return "\n".join([*lines, f"| cost by the catalogue's prices | {totals.cost_usd:.2f} USD |"])


def _model(found: Mapping[str, Any]) -> str:
    return f"`{found['model'][0]}` (fingerprint `{found['digest']}`)"


def _version(about: Mapping[str, Any]) -> str:
    return str(about.get("environment", {}).get("dspy-fusion", ""))
