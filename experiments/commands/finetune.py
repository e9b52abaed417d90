"""``dspy-fusion finetune``: a model is trained to write one answer from several, or the training goes on."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from ..runs.finetuning_config import read_finetuning_config
from ..workflows.finetuning_workflow import finetune

_SETTINGS = ("base", "objective", "examples", "held_out", "references", "max_concurrency")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to train, on what, and where to write."""
    parser.add_argument("config", type=Path, help="a TOML file")
    parser.add_argument(
        "--out", type=Path, help="folder of the run (default: runs/finetune-TASK-OBJECTIVE); a training there goes on"
    )
    parser.add_argument("--base", help="the model that is trained: embedded/NAME, or a Hugging Face checkpoint")
    parser.add_argument("--objective", help="aft, sft, no_proposals or pseudo_aggregation")
    parser.add_argument("--examples", type=int, help="how many examples are trained on")
    parser.add_argument("--held-out", type=int, help="how many examples the result is measured on")
    parser.add_argument("--references", help="the stronger model that writes what is learned")
    parser.add_argument("--max-concurrency", type=int, help="examples worked on at a time")
    parser.add_argument("--models-file", type=Path, help="a models.toml")
    parser.add_argument(
        "--tracking-uri", help="MLflow store (default: MLFLOW_TRACKING_URI, or mlflow.db beside the run)"
    )
    parser.add_argument("--no-tracking", action="store_true", help="write nothing to MLflow")


def run(arguments: argparse.Namespace, console: Console, log: Console) -> int:
    """Runs or continues the fine-tuning."""
    settings = {name: getattr(arguments, name) for name in _SETTINGS if getattr(arguments, name) is not None}
    if arguments.models_file is not None:
        settings["models"] = str(arguments.models_file)
    return finetune(
        replace(read_finetuning_config(arguments.config), **settings),
        arguments.out,
        tracking_uri=arguments.tracking_uri,
        track=not arguments.no_tracking,
        console=console,
        log=log,
    )
