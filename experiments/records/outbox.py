"""Outbox: what is to be told to a tracking server, one JSON line each, kept until someone has told it.

Lines are only ever appended, and several processes may share the file. A torn line is one that was never told.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dspy_fusion.programs.banks.json_lines import JsonLines, whole_lines
from dspy_fusion.programs.json_text import read_json
from dspy_fusion.programs.redaction import without_secrets_in


@dataclass(frozen=True)
class Told:
    """Something that a tracking server is to be told of a run, or of one below it.

    What is told twice counts once: a metric by its step and time, a parameter by its name.
    """

    run: str = ""
    """The name of a run below this one, which is told whole at once; empty for the run itself."""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """They never change."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    """Numbers at ``step``."""
    step: int = 0
    """Of the metrics."""
    tags: Mapping[str, str] = field(default_factory=dict)
    """Short texts."""
    texts: Mapping[str, str] = field(default_factory=dict)
    """Long ones, by the path under which they are kept."""
    tables: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Tables by the path under which they are kept, as ``columns`` and ``data``."""
    data: Mapping[str, str] = field(default_factory=dict)
    """The data set that the run read: ``name``, ``digest``, ``source_type``, ``source``, ``profile``."""
    renews: bool = False
    """Whether a run below this one is told again although it has ended, as when a comparison went on."""
    files: Sequence[str] = ()
    """Files and folders of the run's folder."""
    prompts: Mapping[str, str] = field(default_factory=dict)
    """Instructions for the registry of prompts, by name."""
    traces: Sequence[Mapping[str, Any]] = ()
    """Answers to be shown as traces; see ``run_traces``."""
    model: str = ""
    """Folder, in the run's folder, of an MLflow model that the run made."""
    status: str = ""
    """How the run ended: ``FINISHED``, ``KILLED`` or ``FAILED``; empty where it goes on."""
    at: int = field(default_factory=lambda: int(time.time() * 1000))
    """When, in milliseconds since 1970."""


class Outbox:
    """A file of messages.

    Args:
        path: the file; it is made with the first message.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def put(self, message: Mapping[str, Any]) -> None:
        """Appends a message.

        Raises:
            OSError: it cannot be written whole, such as where the disk is full; what was written of it counts as never
                told.
        """
        file = JsonLines(self.path, shared=True)
        try:
            file.append(json.dumps(without_secrets_in(message), ensure_ascii=False).encode())
        finally:
            file.close()

    def messages(self) -> list[dict[str, Any]]:
        """All whole messages, in order."""
        if not self.path.exists():
            return []
        messages = []
        for _, line in whole_lines(self.path):
            try:
                messages.append(read_json(line))
            except ValueError:
                continue  # torn by a kill
        return messages


def as_told(message: Mapping[str, Any]) -> Told:
    """A message of an outbox; those of older studies hold a trial's report."""
    return trial_told(message["trial"], message.get("instructions", {})) if "trial" in message else Told(**message)


def trial_told(trial: Mapping[str, Any], instructions: Mapping[str, str]) -> Told:
    """What MLflow is told of a trial, given its report as plain data and the instructions by predictor.

    One that was raced out has ended as it should; what it scored on its few examples has other names, so that nobody
    sorts it among whole ones.
    """
    begin = "partial_" if trial["state"] == "dropped" else ""
    values = {f"{begin}cost": trial["cost"], "scored": float(trial["scored"])}
    values |= {f"{begin}{name}": value for name, value in trial.get("values", {}).items()}
    if quality := trial["quality"]:
        names = (f"{begin}quality", f"{begin}quality_low", f"{begin}quality_high")
        values |= dict(zip(names, (quality["mean"], quality["low"], quality["high"]), strict=True))
    return Told(
        run=f"trial {trial['number']}",
        parameters=dict(trial["setting"]),
        metrics=values,
        step=trial["number"],
        tags={"dspy_fusion.trial": str(trial["number"]), "state": trial["state"], "cause": trial["cause"]},
        texts={f"instructions/{path}.txt": text for path, text in instructions.items()},
        prompts=dict(instructions),
        status="FAILED" if trial["state"] == "failed" else "FINISHED",
    )


def parameters_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """What of a configuration is shown as parameters: one entry a leaf."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, Mapping):
            flat |= {f"{key}.{name}": item for name, item in parameters_of(value).items()}
        elif value not in (None, "", (), []):
            flat[key] = value if isinstance(value, str | int | float | bool) else json.dumps(value)
    return flat
