"""``dspy-fusion demo``: the embedded models compared, and then the program that fuses them tuned in a short study.

With ``--real`` a real small model takes their place, which llama.cpp runs on this machine.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from rich.console import Console

from dspy_fusion.programs.extras import require
from dspy_fusion.serving.local.known_models import KNOWN_MODELS
from dspy_fusion.serving.local.model_files import model_file

from ..plans.command_options import add_options, given_options
from ..plans.comparison_config import CompareConfig
from ..presentation.quiet import only_errors_logged
from ..runs.tuning_config import TuningConfig
from ..workflows.comparison_workflow import compare
from ..workflows.tuning_workflow import tune

_CONFIGS = Path(__file__).parents[1] / "configs"
_REAL_MODELS = _CONFIGS / "demo_real_models.toml"
_REAL = {"smollm2-135m": "demo_real_ifeval.toml", "qwen2.5-coder-0.5b": "demo_real_mbpp.toml"}
_OF_BOTH = ("models", "tracking", "tracking_uri", "seed")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """How much of it is run."""
    add_options(parser, CompareConfig, but=("task", "pools"))
    parser.add_argument("--retry-failed", action="store_true", help="run again what failed")
    parser.add_argument("--no-study", action="store_true", help="leave out the study at the end")
    parser.add_argument(
        "--real",
        nargs="?",
        const=next(iter(_REAL)),
        choices=tuple(_REAL),
        metavar="MODEL",
        help="a real model on this machine instead: smollm2-135m (98 MB, 20 IFEval prompts; the default) or"
        " qwen2.5-coder-0.5b (491 MB, 20 MBPP problems)",
    )


def run(arguments: argparse.Namespace, console: Console, log: Console) -> int:
    """Runs or continues the comparison, and then the study."""
    settings = given_options(arguments, CompareConfig)
    if arguments.real:
        settings.setdefault("models", str(_REAL_MODELS))
        _check_real(arguments.real, log)
        config = CompareConfig.read(_CONFIGS / _REAL[arguments.real], settings)
        with only_errors_logged("dspy.clients.lm"):  # it warns of every answer that was cut off; the table counts them
            return compare(config, retry_failed=arguments.retry_failed, console=console, log=log)
    config = CompareConfig.read(_CONFIGS / "demo.toml", settings)
    code = compare(config, retry_failed=arguments.retry_failed, console=console, log=log)
    return code if code or arguments.no_study else _study(settings, console, log)


def _check_real(model: str, log: Console) -> None:
    """Has the model's file and what runs it there before anything else is read.

    Raises:
        MissingExtra: xllamacpp is not installed.
        ConfigurationError: the file is not there and cannot be had.
    """
    require("a real model", "local", "xllamacpp")
    known = KNOWN_MODELS[model]
    log.print(f"{model}: {known.megabytes} MB, {known.licence}, {known.about}", markup=False, highlight=False)
    log.print(f"  {model_file(model)}", markup=False, highlight=False, soft_wrap=True)


def _study(given: dict[str, Any], console: Console, log: Console) -> int:
    config = TuningConfig.read(_CONFIGS / "demo_tune.toml")
    most = given.get("examples", config.examples)
    settings: dict[str, Any] = {
        name: max(2, min(getattr(config, name), most)) for name in ("examples", "held_out", "trials")
    }
    settings |= {name: given[name] for name in _OF_BOTH if name in given}
    if "out" in given:
        settings["out"] = f"{given['out']}-study"
    console.print("\nA short study of how to fuse them best:\n", style="bold")
    return tune(TuningConfig.read(_CONFIGS / "demo_tune.toml", settings), console=console, log=log)
